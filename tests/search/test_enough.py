"""A study that ends when its model expects too little of the rest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytrainer.config.space import Budget, Float, Space
from raytrainer.search.enough import GAIN, LEAST_COMPLETE, PATIENCE, Enough, enough
from raytrainer.search.expectation import gain_of
from raytrainer.search.frozen import frozen
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.gp.gain import expected_gain
from raytrainer.search.gp.limits import Limit
from raytrainer.search.gp.model import Model
from raytrainer.search.gp.observations import observe
from raytrainer.search.replay import replay
from raytrainer.search.study import Study
from raytrainer.search.suggestion import distribution
from raytrainer.search.views import TrialView
from search.studies import EPOCHS, PLAIN, drive, essence, run, space, train


def least(gain: float | None, trials: int | None = 40, **search: Any) -> Space:
    return space(PLAIN, trials=trials, min_gain=gain, **{"pruner": "none", **search})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrialView]]:
    folder = tmp_path_factory.mktemp("found")
    return folder, run(folder, least(0.02))


def test_it_ends_where_little_is_expected(found: tuple[Path, list[TrialView]]) -> None:
    folder, views = found
    assert LEAST_COMPLETE + PATIENCE < len(views) < 40
    with Study.open(folder, least(0.02)) as study:
        standing = study.standing()
        assert (study.ask(), standing.over, standing.to_come, standing.spent) == (None, True, 0, None)
    assert standing.enough
    gain = float(standing.enough.split(" more fitness", maxsplit=1)[0])
    assert gain < 0.02
    assert f"expected of {40 - len(views)} further trials, less than search.min_gain (0.02)" in standing.enough
    gains = [view.notes.get(GAIN, 1.0) for view in views]
    assert max(gains[-PATIENCE:]) < 0.02
    assert all(max(gains[end - PATIENCE : end]) >= 0.02 for end in range(PATIENCE, len(gains)))
    assert gains[LEAST_COMPLETE] < 1.0 <= gains[LEAST_COMPLETE - 1]
    assert all(one.agrees for one in replay(study.space, views) if one.again is not None)


def test_what_it_would_have_found_is_no_more_than_that(tmp_path: Path, found: tuple[Path, list[TrialView]]) -> None:
    """On a function that the model learns; `raytrainer.search.enough` has what it costs on real curves."""
    whole = run(tmp_path, least(None))
    assert essence(whole)[: len(found[1])] == essence(found[1]), "the rule changes nothing but the end"
    best = [max(view.best_fitness or 0.0 for view in views) for views in (found[1], whole)]
    assert best[1] - best[0] < 2 * 0.02, "about as much as was expected"


@pytest.mark.parametrize(
    "asked", [least(None), least(0.01), least(0.02, 44), least(0.02, None, budget=Budget(epochs=600))]
)
def test_it_is_asked_again_if_something_else_is_asked_for(
    tmp_path: Path, asked: Space, found: tuple[Path, list[TrialView]]
) -> None:
    shutil.copytree(found[0], tmp_path, dirs_exist_ok=True)
    with Study.open(tmp_path, asked) as study:
        assert (study.standing().enough, study.standing().over) == (None, False)
        handle = study.ask()
        assert (handle is None) == (study.standing().enough is not None)
        assert handle or asked.search.min_gain == 0.02


def test_a_driver_that_died_ends_where_another_would_have(tmp_path: Path, found: tuple[Path, list[TrialView]]) -> None:
    for _ in range(3):
        with Study.open(tmp_path, least(0.02)) as study:
            for _ in range(6):
                if handle := study.ask():
                    train(study, handle)
    with Study.open(tmp_path, least(0.02)) as study:
        drive(study)
        assert essence(study.snapshot()) == essence(found[1])


@pytest.mark.parametrize(
    ("gain", "noted", "fires"),
    [
        (0.1, [0.1] * 4, True),
        (0.1, [9.0, *[0.1] * 4], True),
        (0.1, [0.1, 9.0, 0.1, 0.1], False),
        (0.1, [0.1] * 3, True),
        (0.1, [0.1, None, 0.1, 0.1], False),  # of a trial from before it was asked for
        (0.2, [0.1] * 4, False),
        (None, [0.1] * 4, False),
    ],
)
def test_it_has_to_hold_for_a_while(gain: float | None, noted: list[float | None], fires: bool) -> None:
    views = [TrialView(n, "complete", {}, notes={} if g is None else {GAIN: g}) for n, g in enumerate(noted)]
    told = enough(least(0.2).search, views, gain, 7)
    assert (told is not None) == fires
    if told:
        kept = {"enough": told.plain()}
        assert Enough.kept(kept, least(0.2).search) == told
        assert Enough.kept(kept, least(0.3).search) is None
        assert Enough.kept({}, least(0.2).search) is None


def test_more_trials_are_expected_to_gain_more(found: tuple[Path, list[TrialView]]) -> None:
    views = found[1][: 2 * LEAST_COMPLETE]
    few, many = gain_of(least(0.02), views, 2), gain_of(least(0.02), views, 100)
    assert few is not None
    assert many is not None
    assert 0 <= few < many
    assert gain_of(least(0.02), views, 100) == many
    assert gain_of(least(0.02), views, 0) is None
    assert gain_of(least(0.02), views[: LEAST_COMPLETE - 1], 100) is None
    assert gain_of(least(None, sampler="tpe"), views, 100) is None
    assert gain_of(space({}), views, 100) is None


LINE = {"lr0": Float(low=0.0, high=1.0, default=0.9)}


def limited(most: float) -> list[TrialView]:
    """Twelve full trials whose fitness is lr0, which is to be at most so much."""
    found = []
    for number in range(12):
        lr0 = (number + 0.5) / 12
        curve = {epoch: lr0 * epoch / EPOCHS for epoch in range(1, EPOCHS + 1)}
        violations = {epoch: [lr0 - most] for epoch in curve}
        found.append(TrialView(number, "complete", {"lr0": lr0}, curve, lr0, EPOCHS, violations=violations))
    return found


def test_nothing_is_expected_before_something_is_feasible() -> None:
    asked = space(LINE, min_gain=0.02)
    assert gain_of(asked, limited(-0.1), 30) is None
    assert gain_of(asked, limited(0.4), 30) is not None


def test_what_does_not_keep_the_constraints_is_no_gain() -> None:
    asked, views = space(LINE), limited(0.4)
    past = [frozen(view, asked) for view in views]
    encoding, seen = Encoding({"lr0": distribution(LINE["lr0"])}), observe(past, 1.0, EPOCHS)
    model = Model.after(encoding, past, encoding.encode([trial.params for trial in past]), seen, EPOCHS)
    (limit,) = model.limits

    def gain(*limits: Limit) -> float:
        return expected_gain(replace(model, limits=limits), seen, 200, np.random.default_rng(0))

    never, always = replace(limit, least=1e9), replace(limit, least=-1e9)
    assert gain(never) == 0
    assert 0 < gain(limit) < gain(always) == gain()

"""The end of a study that pauses: its best trial reaches the full length before the others are ended as pruned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.space import Budget, Float, Space
from raytrainer.search.budget import Left
from raytrainer.search.enough import Enough
from raytrainer.search.planning import Planner
from raytrainer.search.replay import replay
from raytrainer.search.stopping import Promotion
from raytrainer.search.study import Study
from raytrainer.search.views import State, TrialView, best_of
from search import studies
from search.studies import Crew, essence, space

STATES: Mapping[str, State] = {"c": "complete", "r": "running", "p": "paused", "f": "failed", "x": "pruned"}
ENOUGH = Enough(0.0, 5, {})


def views(*curves: str) -> list[TrialView]:
    """Trials by number, each a state and a curve of digits, in tenths, such as 'p11'. After a '/' what it violates at
    any epoch, after a ':' another objective."""
    found = []
    for number, text in enumerate(curves):
        curve, _, other = text.partition(":")
        curve, _, violated = curve.partition("/")
        values = {epoch: int(digit) / 10 for epoch, digit in enumerate(curve[1:], start=1)}
        violations = {epoch: [int(violated)] for epoch in values} if violated else {}
        others = {epoch: [int(other)] for epoch in values} if other else {}
        state, notes = STATES[curve[0]], {"paused": len(values)}
        found.append(TrialView(number, state, {}, values, notes=notes, violations=violations, others=others))
    return found


@pytest.mark.parametrize(
    ("curves", "number"),
    [
        (["c11111111", "p22"], 1),
        (["c11111111", "p22", "p33"], 2),
        (["c99999999", "p22", "p11"], 1),  # one is held against the baseline at its full length
        (["c99999999", "p22", "p22"], 1),  # of equals the first
        (["c11111111", "p22", "f"], 1),
        (["f", "p22", "p33"], 2),
        (["f", "c44444444", "p331666", "p33"], 2),  # far better, at a rung that has too few to go on from
        (["f", "c44444444", "p331444", "p33"], None),  # no better
        (["c99999999", "c44444444", "p331888", "p33"], None),
        (["f", "c44444444", "x999999", "p33"], None),
        (["c11111111", "p22", "r3"], None),  # it may yet be the one, or make room for a third of the rung
        (["c11111111", "c33333333", "r3", "p22"], None),
        (["c99999999/1", "c88888888/1", "p331444/0", "p33/0"], 2),  # the only one that keeps the constraint
        (["c99999999/0", "c44444444/0", "p331999/1", "p33/0"], None),
        (["f", "c44444444:4", "p331555:3", "p33:3"], 2),
        (["f", "c44444444:4", "p331555:4", "p33:9"], 2),
        (["f", "c44444444:4", "p331333:9", "p33:1"], None),  # as good, but no better by the first objective
    ],
)
def test_who_goes_on_when_none_begins_and_nobody_runs(curves: list[str], number: int | None) -> None:
    shown, rule = views(*curves), Promotion(rungs=(2, 6), reduction_factor=3)
    at_its_end, with_one_more = (Planner(Budget(), len(curves) + more, 8, rule) for more in (0, 1))
    assert at_its_end.goes_on(shown, Left()) == number
    assert with_one_more.goes_on(shown, Left()) == rule.promote(shown)
    assert with_one_more.goes_on(shown, Left(), ENOUGH) == number


@pytest.mark.parametrize(("left", "number"), [(8, 2), (7, 2), (2, 2), (1, None)])
def test_it_goes_on_if_the_budget_lasts(left: float, number: int | None) -> None:
    planner = Planner(Budget(epochs=99), 4, 8, Promotion(rungs=(2, 6), reduction_factor=3))
    assert planner.goes_on(views("f", "c44444444", "p331666", "p33"), Left(together=left)) == number


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of 30 epochs, the better the larger lr0 is; the defaults are the worst of all."""
    monkeypatch.setattr(studies, "EPOCHS", 30)
    monkeypatch.setattr(studies, "fitness", lambda params, epoch: (0.2 + 0.6 * params["lr0"]) * (1 - 0.8**epoch))


def asked(**search: Any) -> Space:
    few = {"trials": 12, "sampler": "random", "pruner": "asha-promote", "min_epochs": 3, "reduction_factor": 3}
    return space({"lr0": Float(low=0.0, high=1.0, default=0.0)}, **{**few, **search})


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(
    "search",
    [
        {"trials": 3},
        {"trials": 3, "min_epochs": 1},
        {"trials": 8},
        {"trials": 12},
        {"trials": 12, "seed": 1, "reduction_factor": 2},
        {"trials": 20, "min_epochs": 9},
        {"trials": 12, "budget": Budget(epochs=300)},
        {"trials": 12, "budget": Budget(epochs=100)},
        {"trials": 12, "pruner": "asha"},
    ],
)
def test_no_trial_ends_just_short_that_is_better_than_the_best(
    tmp_path: Path, search: dict[str, Any], workers: int
) -> None:
    with Study.open(tmp_path, asked(**search)) as study:
        trials, standing = Crew(study, workers).work(), study.standing()
    best = best_of(trials)
    assert best is not None
    assert (best.state, standing.over) == ("complete", True)
    assert best.number > 0
    assert best.best_fitness == max(view.best_fitness or 0.0 for view in trials)
    assert sum(view.state != "complete" for view in trials) >= len(trials) // 3, "not all are trained to their ends"
    assert all(one.agrees for one in replay(study.space, trials) if one.again is not None)


@pytest.mark.usefixtures("long")
def test_a_driver_that_is_killed_after_every_epoch_ends_with_the_same(tmp_path: Path) -> None:
    with Study.open(tmp_path / "whole", asked(trials=8)) as study:
        whole = Crew(study, 1).work()
    while True:
        with Study.open(tmp_path / "broken", asked(trials=8)) as study:
            if not Crew(study, 1).turn():
                break
            study.closing = True
    assert essence(study.snapshot()) == essence(whole)


@pytest.mark.usefixtures("long")
def test_the_last_one_pauses_at_no_further_rung(tmp_path: Path) -> None:
    with Study.open(tmp_path, asked(trials=2)) as study:
        trials = Crew(study, 1).work()
    assert [dict(view.notes).get("paused", 0) for view in trials] == [0, 0], "nobody is left to wait for"


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("killed_at", [None, 12])
def test_more_trials_go_on_with_a_study_that_has_taken_its_best_to_the_end(
    tmp_path: Path, killed_at: int | None
) -> None:
    with Study.open(tmp_path, asked(trials=8)) as study:
        crew = Crew(study, 1)
        while crew.turn() and all(view.last_epoch != killed_at for view in study.snapshot()[1:]):
            pass
        study.closing = True
    with Study.open(tmp_path, asked(trials=16), extend=True) as study:
        trials = Crew(study, 2).work()
        assert study.standing().over
    assert {view.state for view in trials} == {"complete", "pruned"}
    assert len(trials) == 16
    best = best_of(trials)
    assert best is not None
    assert best.best_fitness == max(view.best_fitness or 0.0 for view in trials)

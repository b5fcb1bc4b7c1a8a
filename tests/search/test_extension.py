"""`--extend`: which changes of a space only widen it, and how earlier trials are seen in the wider one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.problems import UserError
from raytrainer.config.space import Categorical, Float, Integer, Space
from raytrainer.search.reading import read_views
from raytrainer.search.study import Study
from search.studies import CONDITIONAL, drive, essence, run, space

BEGUN = space(CONDITIONAL, trials=3, pruner="none")


def changed(parameters: dict[str, Any] | None = None, without: str = "", **fields: Any) -> Space:
    """The space that the study was begun with, with other parameters or fields."""
    kept = {name: parameter for name, parameter in CONDITIONAL.items() if name != without}
    return space({**kept, **(parameters or {})}, trials=6, pruner="none").model_copy(update=fields)


WIDER = {
    "a wider range": changed({"lr0": Float(low=1e-6, high=1.0, log=True, default=0.01)}),
    "on the same grid": changed({"box": Float(low=0.5, high=9.5, step=0.5, default=7.5)}),
    "more integers": changed({"batch": Integer(low=1, high=128, log=True, default=8)}),
    "more choices in another order": changed(
        {"optimizer": Categorical(choices=["Lion", "MuSGD", "SGD", "AdamW"], default="AdamW")}
    ),
    "a new parameter": changed({"mosaic": Float(low=0.0, high=1.0, default=1.0)}),
    "a new parameter under a condition": changed(
        {"warmup_momentum": Float(low=0.0, high=0.95, default=0.8, when={"optimizer": "SGD"})}
    ),
}  # fmt: skip
NARROWER = {
    "a narrower range": (changed({"lr0": Float(low=1e-5, high=1e-2, log=True, default=0.01)}), ["space.lr0.high"]),
    "another grid": (
        changed({"box": Float(low=0.75, high=9.25, step=0.5, default=7.75)}),
        ["space.box.low", "space.box.high", "space.box.default"],
    ),
    "another scale": (
        changed({"batch": Integer(low=2, high=64, default=8)}), ["space.batch.log"]
    ),
    "another default": (
        changed({"lr0": Float(low=1e-6, high=1.0, log=True, default=0.1)}),
        ["space.lr0.low", "space.lr0.high", "space.lr0.default"],
    ),
    "fewer choices": (changed({"freeze": Categorical(choices=[None, "backbone"])}), ["space.freeze.choices"]),
    "a parameter less": (changed(without="cos_lr"), ["space.cos_lr.choices", "space.cos_lr.default"]),
    "a new parameter that trials did not have so": (
        changed({"mosaic": Float(low=0.0, high=1.0, default=0.5)}),
        ["space.mosaic.low", "space.mosaic.high", "space.mosaic.default"],
    ),
    "another model": (changed(model="rtdetr.yaml"), ["model"]),
    "other data": (changed(data="other.yaml"), ["data"]),
    "another fitness": (changed(fitness="mAP50"), ["fitness"]),
    "longer trials": (changed(train={"epochs": 9}), ["train.epochs"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WIDER)
def test_a_wider_space_is_gone_on_with(name: str, tmp_path: Path) -> None:
    before = run(tmp_path, BEGUN)
    with pytest.raises(UserError, match="they only widen it, so --extend takes them"):
        Study.open(tmp_path, WIDER[name])
    with Study.open(tmp_path, WIDER[name], extend=True) as study:
        drive(study)
        views = study.snapshot()
    assert len(views) == 6
    assert [view.values for view in views[:3]] == [view.values for view in before]
    assert all(dict(new.params) | dict(old.params) == new.params for old, new in zip(before, views, strict=False))
    assert essence(read_views(tmp_path)) == essence(views), "and seen so from outside"
    assert essence(run(tmp_path, WIDER[name])) == essence(views), "the next start needs no flag"
    with pytest.raises(UserError, match="the study was begun with"):
        Study.open(tmp_path, BEGUN)


@pytest.mark.parametrize("name", NARROWER)
def test_what_does_not_only_widen_is_refused(name: str, tmp_path: Path) -> None:
    run(tmp_path, BEGUN)
    before = (tmp_path / "study.journal").read_bytes()
    now, keys = NARROWER[name]
    with pytest.raises(UserError) as plain:
        Study.open(tmp_path, now)
    with pytest.raises(UserError) as extended:
        Study.open(tmp_path, now, extend=True)
    assert sorted(str(each.key) for each in plain.value.problems[:-1]) == sorted(keys)
    assert {each.key for each in extended.value.problems[:-1]} <= set(keys)
    assert "--extend" not in str(plain.value)
    assert (tmp_path / "study.journal").read_bytes() == before


def test_samplers_see_earlier_trials_as_of_the_wider_space(tmp_path: Path) -> None:
    """Optuna would leave out what not all trials have, or have with other choices."""
    run(tmp_path, BEGUN)
    with Study.open(tmp_path, WIDER["a new parameter"], extend=True) as study:
        seen = study._ledger.trials()
    assert [trial.params["mosaic"] for trial in seen] == [1.0] * 3
    assert {trial.distributions["mosaic"].high for trial in seen} == {1.0}  # type: ignore[attr-defined]
    with Study.open(tmp_path / "choices", BEGUN) as study:
        drive(study)
    with Study.open(tmp_path / "choices", WIDER["more choices in another order"], extend=True) as study:
        choices = {trial.distributions["optimizer"].choices for trial in study._ledger.trials()}  # type: ignore[attr-defined]
    assert choices == {("Lion", "MuSGD", "SGD", "AdamW")}


def test_a_trial_that_ran_meanwhile_keeps_what_it_is_taken_to_have_had(tmp_path: Path) -> None:
    with Study.open(tmp_path, BEGUN) as study:
        study.ask()
    with Study.open(tmp_path, WIDER["a new parameter"], extend=True) as study:
        study.report(0, 1, 0.5)
        study.finish(0, "complete")
        assert study._ledger.trial(0).params["mosaic"] == 1.0
        assert study._ledger.trial(0).distributions["mosaic"].high == 1.0  # type: ignore[attr-defined]


def test_what_was_fixed_becomes_a_parameter_with_that_default(tmp_path: Path) -> None:
    fixed = BEGUN.model_copy(update={"train": {"epochs": 6, "mosaic": 0.5}})
    run(tmp_path, fixed)
    searched = changed({"mosaic": Float(low=0.0, high=1.0, default=0.5)})
    with Study.open(tmp_path, searched, extend=True) as study:
        assert [view.params["mosaic"] for view in study.snapshot()] == [0.5] * 3
    with pytest.raises(UserError, match=r"space\.mosaic\.low: .* now it is nothing"):
        Study.open(tmp_path, changed({"close_mosaic": Integer(low=0, high=3, default=1)}), extend=True)


@pytest.mark.parametrize("kept", [None, 1])
def test_a_study_of_an_older_version_is_read(kept: int | None, tmp_path: Path) -> None:
    """The first versions wrote no format, and a digest that nobody read."""
    views = run(tmp_path, space(trials=2))
    lines = (tmp_path / "study.journal").read_text().splitlines()
    lines = [line for line in lines if kept or '"format"' not in line]
    lines.append(json.dumps({"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"digest": "0" * 64}}))
    (tmp_path / "study.journal").write_text("\n".join(lines) + "\n")
    assert essence(run(tmp_path, space(trials=2))) == essence(views)


def test_a_study_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with Study.open(tmp_path, space(trials=1)) as study:
        drive(study)
        study._ledger.set_attr("format", 2)
    with pytest.raises(
        UserError, match=r"made by a newer version of this package, which is needed to go on \(format 2"
    ):
        Study.open(tmp_path, space(trials=1))

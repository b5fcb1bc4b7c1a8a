"""Which studies a driver goes on with, and what it says of those that it does not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage

from raytrainer.config.problems import UserError
from raytrainer.config.space import Budget, Categorical, Float, Space
from raytrainer.config.storage import Storage, StudyUrl
from raytrainer.search.study import Study
from search.studies import CONDITIONAL, EPOCHS, essence, run, space


@pytest.mark.parametrize(
    ("now", "keys"),
    [
        (space(seed=1), ["search.seed"]),
        (space(min_epochs=3), ["search.min_epochs"]),
        (space(pruner="median"), ["search.pruner"]),
        (space(sampler_args={"n_startup_trials": 5}), ["search.sampler_args.n_startup_trials"]),
        (space({**CONDITIONAL, "lr0": Float(low=1e-5, high=1.0, log=True, default=0.01)}), ["space.lr0.high"]),
        (
            space({**CONDITIONAL, "freeze": Categorical(choices=[None, 10])}),
            ["space.freeze.choices", "space.unfreeze_epoch.when.freeze"],
        ),
        (
            space({k: v for k, v in CONDITIONAL.items() if k != "cos_lr"}),
            ["space.cos_lr.choices", "space.cos_lr.default"],
        ),
        (
            space({**CONDITIONAL, "cls": Float(low=0.1, high=1.0)}),
            ["space.cls.low", "space.cls.high", "space.cls.default"],
        ),
    ],
)
def test_a_changed_space_is_refused_with_the_difference(tmp_path: Path, now: Space, keys: list[str]) -> None:
    if keys[-1].endswith("when.freeze"):
        keys = keys[:1]  # the condition itself is as it was
    run(tmp_path, space(trials=1))
    before = (tmp_path / "study.journal").read_bytes()
    with pytest.raises(UserError) as caught:
        Study.open(tmp_path, now)
    *changed, advice = caught.value.problems
    assert [problem.key for problem in changed] == keys
    assert "put these back, or begin anew: --fresh, or another --name" in advice.message
    assert (tmp_path / "study.journal").read_bytes() == before
    Study.open(tmp_path, space(trials=1)).close()


def test_a_study_without_trials_takes_a_mended_space(tmp_path: Path) -> None:
    """As after a first batch that did not fit into memory: the batch is lowered and the same command given again."""
    Study.open(tmp_path, space(trials=1)).close()
    mended = Space(**{**space(trials=1).model_dump(), "train": {"epochs": 8, "batch": 2}})
    Study.open(tmp_path, mended).close()
    run(tmp_path, mended)
    with pytest.raises(UserError, match=r"train\.batch: the study was begun with 2"):
        Study.open(tmp_path, space(trials=1))


def test_the_difference_says_then_and_now(tmp_path: Path) -> None:
    run(tmp_path, space(trials=1))
    asked = Space(**{**space(trials=1).model_dump(), "train": {"epochs": 8, "imgsz": 64}, "model": "rtdetr.yaml"})
    with pytest.raises(UserError) as caught:
        Study.open(tmp_path, asked)
    assert [str(problem) for problem in caught.value.problems[:3]] == [
        'model: the study was begun with "yolo.yaml", now it is "rtdetr.yaml"',
        f"train.epochs: the study was begun with {EPOCHS}, now it is 8",
        "train.imgsz: the study was begun with nothing, now it is 64",
    ]


def test_what_may_change(tmp_path: Path) -> None:
    begun = space(trials=2)
    run(tmp_path / "here", begun)
    (tmp_path / "here").rename(tmp_path / "there")
    changed = begun.model_copy(
        update={
            "name": "another", "storage": Storage("elsewhere"), "keep": "all",
            "resources": begun.resources.model_copy(update={"max_concurrent": 3}),
            "search": begun.search.model_copy(update={"trials": 4, "budget": Budget(wall=2.0, epochs=500)}),
            "space": dict(reversed(begun.space.items())),
        }
    )  # fmt: skip
    views = run(tmp_path / "there", changed)
    assert essence(views) == essence(run(tmp_path / "whole", space(trials=4)))


def test_keys_that_are_newer_than_the_study_are_no_change(tmp_path: Path) -> None:
    with Study.open(tmp_path, space(trials=1)) as study:
        assert study.ask()
        kept = study._ledger.attrs()["space"]
        del kept["search"]["reduction_factor"]
        kept["search"].pop("pruner")
        study._ledger.set_attr("space", kept)
    with pytest.raises(UserError) as caught:
        Study.open(tmp_path, space(trials=1))
    assert [problem.key for problem in caught.value.problems[:-1]] == ["search.reduction_factor"], "not its default"


@pytest.mark.parametrize(
    ("directions", "trials"),
    [(["minimize"], 1), (["maximize"], 1), (["maximize"], 0), (["maximize"] * 2, 0), (["minimize", "maximize"], 0)],
)
@pytest.mark.parametrize("file", ["study.journal", "studies.db"])
def test_somebody_elses_optuna_study_is_not_touched(
    directions: list[str], trials: int, file: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / file}" if file == "studies.db" else None
    storage: Any = url or JournalStorage(JournalFileBackend(str(tmp_path / file)))
    theirs = optuna.create_study(storage=storage, study_name="theirs", directions=directions)
    theirs.optimize(lambda trial: [trial.suggest_float("x", 0, 1)] * len(directions), n_trials=trials)
    theirs.set_user_attr("why", "an ablation")
    before = what_is_in(tmp_path / file)
    asked = space().model_copy(
        update={"name": "theirs", "storage": Storage(str(tmp_path), StudyUrl(url) if url else None)}
    )
    with pytest.raises(UserError, match="none of this package"):
        Study.open(tmp_path, asked)
    assert what_is_in(tmp_path / file) == before


def what_is_in(file: Path) -> object:
    """A journal's bytes; every row of a database, whose file SQLite may write anew."""
    if file.suffix != ".db":
        return file.read_bytes()
    with closing(sqlite3.connect(file)) as database:
        return list(database.iterdump())

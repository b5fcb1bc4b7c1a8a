"""A budget that is spent: no trial is expected any more, and what goes on is said."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Budget, Float, Search, Space
from raytrainer.config.storage import Storage
from raytrainer.results.outlook import outlook
from raytrainer.results.saved import read_study
from raytrainer.results.status import Status, continuing
from raytrainer.results.tally import tally
from raytrainer.search.budget import Standing, Taken
from raytrainer.search.planning import Planner
from raytrainer.search.study import Study
from raytrainer.search.views import TrialView

from .trials import trial


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """A study of ten trials, of which one ran for two epochs, in the working folder's `runs/cells`."""
    monkeypatch.chdir(tmp_path)
    return StudyFolder(tmp_path / "runs" / "cells")


def ran(folder: StudyFolder, trials: int | None = 10, **budget: float) -> StudyFolder:
    space = Space(
        model="m.pt", data="d.yaml", name="cells", train={"epochs": 2}, space={"lr0": Float(low=0.1, high=1.0)},
        search=Search(trials=trials, sampler="tpe", budget=Budget(**budget)),
    )  # fmt: skip
    unbounded = space.model_copy(update={"search": Search(trials=trials or 10, sampler="tpe")})
    with Study.open(folder.path, unbounded) as study:
        assert study.ask()
        study.report(0, 1, 0.25)
        study.report(0, 2, 0.5)
        study.finish(0, "complete")
        for number in range(1, int(budget.get("epochs", 0)) // 2):
            assert study.ask()
            study.report(number, 1, 0.1)
            study.finish(number, "pruned")
    folder.space.write_text(space.to_yaml())
    return folder


def status() -> str:
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(Status(read_study("cells")))
    return console.export_text()


GO_ON = "raytrainer tune --space runs/cells/space.yaml --set"


@pytest.mark.parametrize(
    ("trials", "budget", "told", "more"),
    [
        (10, {"epochs": 2}, "2 epochs are spent, but for too little to train another trial to its end",
         f"about 2 epochs more would begin about 1 trial: {GO_ON} search.budget.epochs=4"),
        (None, {"wall": 1e-12}, "1e-12 hours are spent", "about 2 epochs more would begin about 1 trial: "),
        (None, {"epochs": 4}, "3 of 4 epochs are spent", "begin about 1 trial"),
        (2, {"epochs": 5}, None, "all trials have ended"),
        (10, {"epochs": 6, "wall": 9}, None, "nobody is running it. Go on: raytrainer tune"),
        (10, {}, None, "nobody is running it. Go on: raytrainer tune"),
    ],
)  # fmt: skip
def test_status(trials: int | None, budget: dict[str, float], told: str | None, more: str, folder: StudyFolder) -> None:
    ran(folder, trials, **budget)
    said = status()
    assert more in said
    assert (told or "are spent") in said or told is None
    assert ("no more is trained" in said) == ("are spent" in said) == (told is not None)
    assert ("waiting" in said) == (trials is not None or told is not None)


@pytest.mark.parametrize(("begun", "told"), [(1, "its budget is spent; 1 trial is paused"),
                                             (2, "its budget is spent; 2 trials are paused")])  # fmt: skip
def test_trials_that_are_paused_have_not_ended(begun: int, told: str, folder: StudyFolder) -> None:
    with Study.open(folder.path, space := read_study(str(ran(folder).path)).space) as study:
        for number in range(1, begun + 1):
            assert study.ask()
            study.report(number, 1, 0.1)
        study.closing = True
    less = space.model_copy(update={"search": space.search.model_copy(update={"budget": Budget(epochs=2)})})
    with Study.open(folder.path, less) as study:
        assert study.adopt() == []
    folder.space.write_text(less.to_yaml())
    assert told in (said := status())
    assert "have ended" not in said


def paused(number: int, *curve: float) -> TrialView:
    return trial(number, "paused", curve, notes={"paused": len(curve), "cut": len(curve)})


def by_itself(number: int, *curve: float) -> TrialView:
    """Paused by its rule."""
    return trial(number, "paused", curve, notes={"paused": len(curve)})


@pytest.mark.parametrize(
    ("budget", "taken", "views", "lines"),
    [
        ({"epochs": 200}, Taken(200), [trial(0, curve=(0.1,) * 50), trial(1, "pruned", (0.1,) * 10),
                                      paused(2, *[0.2] * 12), paused(3, 0.1)],
         ["200 epochs are spent; of 50 epochs each, it has cut trial 2 at epoch 12, trial 3 at epoch 1",
          "about 187 epochs more would take what was cut to its end and begin about 3 trials: "
          "go on search.budget.epochs=390"]),
        ({"gpu_hours": 2, "wall": 9}, Taken(400, wall=1, gpu_hours=2, held=7200), [trial(0, curve=(0.1,) * 50)],
         ["2 GPU-hours are spent, but for too little to train another trial to its end",
          "about 200 epochs more would begin about 4 trials: go on search.budget.gpu_hours=3"]),
        ({"wall": 9}, Taken(40, wall=9, held=36 * 3600), [trial(0, curve=(0.1,) * 50)],
         ["9 hours are spent, but for too little to train another trial to its end",
          "about 50 epochs more would begin about 1 trial: go on search.budget.wall=54"]),
        ({"epochs": 200}, Taken(200), [trial(0, curve=(0.1,) * 50), trial(1, "paused", (0.1,), notes={"paused": 1}),
                                      paused(2, *[0.2] * 12)],
         ["200 epochs are spent; of 50 epochs each, it has cut trial 2 at epoch 12",
          "about 138 epochs more would take what was cut to its end and begin about 2 trials: "
          "go on search.budget.epochs=340"]),
        ({"epochs": 200}, Taken(100), [trial(0, curve=(0.1,) * 50)], []),
        # all have begun, and one that had paused is ahead, or is not
        ({"epochs": 60, "trials": 2}, Taken(60), [trial(0, curve=(0.1,) * 50), by_itself(1, *[0.2] * 10)],
         ["60 epochs are spent, but for too little to train another trial to its end",
          "about 50 epochs more would take trial 1 to its end: go on search.budget.epochs=110"]),
        ({"epochs": 80, "trials": 3}, Taken(80), [trial(0, curve=(0.1,) * 50), trial(1, curve=(0.3,) * 20),
                                                  by_itself(2, *[0.2] * 10)], []),
    ],
)  # fmt: skip
def test_what_more_would_do(budget: dict[str, float], taken: Taken, views: list[TrialView], lines: list[str]) -> None:
    most = budget.get("trials")
    bounds = Budget(**{name: bound for name, bound in budget.items() if name != "trials"})
    search = Search(budget=bounds, trials=None if most is None else int(most), pruner="asha-promote")
    space = Space(model="m.pt", data="d.yaml", train={"epochs": 50}, search=search)
    standing = Planner.of(space).standing(views, taken)
    assert list(outlook(space, views, standing, lambda flags: " ".join(["go on", *flags[1::2]]))) == lines


def test_a_study_that_has_found_enough_says_how_to_go_on() -> None:
    space = Space(model="m.pt", data="d.yaml", train={"epochs": 50}, search=Search(min_gain=0.1, trials=9))
    standing = Standing(over=True, enough="less than 0.1 more fitness is expected of 5 trials")
    lines = list(outlook(space, [trial(0)], standing, lambda flags: " ".join(["go on", *flags])))
    assert lines == [f"{standing.enough}. All the same: go on --set search.min_gain=null"]


def test_only_trials_that_run_are_expected() -> None:
    views = [trial(0, curve=(0.1,) * 8), trial(1, "running", (0.1,) * 3)]
    now = tally(views, 10, 8, Standing(over=True))
    assert (now.waiting, now.epochs_done, now.epochs_expected) == (0, 11, 16)


@pytest.mark.parametrize(
    ("trials", "left", "waiting", "expected"),
    [(None, 40.0, None, 51), (10, 40.0, 8, 51), (3, 40.0, 1, 24), (None, math.inf, None, 16)],
)
def test_no_more_is_expected_than_a_budget_allows(
    trials: int | None, left: float, waiting: int | None, expected: int
) -> None:
    views = [trial(0, curve=(0.1,) * 8), trial(1, "running", (0.1,) * 3)]
    now = tally(views, trials, 8, Standing(left=left))
    assert (now.waiting, now.epochs_expected) == (waiting, expected)


def test_without_its_space_file_a_study_is_read_all_the_same(folder: StudyFolder) -> None:
    space = read_study(str(ran(folder).path)).space
    folder.space.unlink()
    study = read_study(str(folder.path))
    assert study.space == space
    assert [view.best_fitness for view in study.trials] == [0.5]
    assert "Go on: the command that began it, since runs/cells/space.yaml is missing" in status()


def test_flags_that_no_space_holds_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "cells"
    again = continuing(folder, folder / "space.yaml", Storage(), "cells", ["--address", "10.0.0.1:6379"])
    assert again == "raytrainer tune --space runs/cells/space.yaml --address 10.0.0.1:6379"

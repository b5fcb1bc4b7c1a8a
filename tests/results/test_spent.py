"""A budget that is spent: no trial is expected any more, and what goes on is said."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Float, Search, Space
from raytrainer.config.storage import Storage
from raytrainer.results.saved import read_study
from raytrainer.results.status import Status, continuing
from raytrainer.results.tally import tally
from raytrainer.search.study import Study

from .trials import trial


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """A study of ten trials, of which one ran for two epochs, in the working folder's `runs/cells`."""
    monkeypatch.chdir(tmp_path)
    return StudyFolder(tmp_path / "runs" / "cells")


def ran(folder: StudyFolder, **search: float) -> StudyFolder:
    space = Space(
        model="m.pt", data="d.yaml", name="cells", train={"epochs": 2}, space={"lr0": Float(low=0.1, high=1.0)},
        search=Search(trials=10, sampler="tpe"),
    )  # fmt: skip
    with Study.open(folder.path, space) as study:
        assert study.ask()
        study.report(0, 1, 0.25)
        study.report(0, 2, 0.5)
        study.finish(0, "complete")
    budgeted = space.model_copy(update={"search": space.search.model_copy(update=search)})
    folder.space.write_text(budgeted.to_yaml())
    return folder


def status() -> str:
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(Status(read_study("cells")))
    return console.export_text()


@pytest.mark.parametrize(
    ("search", "spent"),
    [({"epoch_budget": 2}, "2 epochs are spent"), ({"time_budget": 1e-9}, "1e-09 hours are spent"),
     ({"epoch_budget": 3, "time_budget": 9}, None), ({}, None)],
)  # fmt: skip
def test_status(search: dict[str, float], spent: str | None, folder: StudyFolder) -> None:
    ran(folder, **search)
    said = status()
    if spent is None:
        assert "9 waiting" in said
        assert "nobody is running it. Go on: raytrainer tune --space runs/cells/space.yaml" in said
    else:
        assert "0 waiting" in said
        assert f"{spent}: no more trials are started" in said
        larger = "epoch_budget" if "epochs" in spent else "time_budget"
        assert f"all trials have ended: {spent}. A larger search.{larger} goes on: raytrainer tune" in said


def test_only_trials_that_run_are_expected() -> None:
    views = [trial(0, curve=(0.1,) * 8), trial(1, "running", (0.1,) * 3)]
    now = tally(views, trials=10, epochs=8, spent=True)
    assert (now.waiting, now.epochs_done, now.epochs_expected) == (0, 11, 16)


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

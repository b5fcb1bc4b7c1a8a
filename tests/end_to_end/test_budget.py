"""A budget of epochs on real trainings: where it ends, what it says, and what a larger one goes on with."""

from __future__ import annotations

from pathlib import Path

from end_to_end.conftest import records_of, run_verb, write_space
from raytrainer.config.layout import StudyFolder
from raytrainer.results.saved import read_study
from raytrainer.results.status import activity
from raytrainer.search.reading import read_views

FLAGS = ["--name", "cells", "--set", "search.trials=null", "--max-concurrent", "2", "--set", "search.budget.epochs=3"]


def test_a_study_ends_on_its_budget_and_a_larger_one_goes_on(tmp_path: Path, pretrained: Path, bccd: Path) -> None:
    space, folder = write_space(tmp_path, pretrained, bccd), StudyFolder(tmp_path / "runs" / "cells")
    first = run_verb(tmp_path, "--space", space, *FLAGS)
    (trial,) = read_views(folder.path)
    assert (trial.state, trial.last_epoch) == ("complete", 2)
    spent, more, *_, last = first.stdout.splitlines()[-4:]
    assert spent == "2 of 3 epochs are spent, but for too little to train another trial to its end"
    assert more.startswith(
        "about 2 epochs more would begin about 1 trial: raytrainer tune --space runs/cells/space.yaml"
    )
    assert "raytrainer train" in last
    assert f"{spent}\nabout 2 epochs more would begin about 1 trial: " in activity(read_study(str(folder.path)))

    _, _, command = more.partition("raytrainer tune ")
    again = run_verb(tmp_path, *command.split())
    assert "4 epochs are spent" in again.stdout
    assert [(view.state, view.last_epoch) for view in read_views(folder.path)] == [("complete", 2)] * 2
    assert [len(records_of(folder, number)) for number in (0, 1)] == [2, 2]

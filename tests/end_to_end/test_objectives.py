"""A study of two objectives, from its space to a retraining: every compromise on the front is there to be used."""

from __future__ import annotations

import textwrap
from pathlib import Path

import yaml
from rich.console import Console

from end_to_end.conftest import records_of, run_verb
from raytrainer.config.layout import StudyFolder
from raytrainer.results.report import report
from raytrainer.results.saved import read_study
from raytrainer.results.status import Status
from raytrainer.search.front import front
from raytrainer.search.replay import replay
from raytrainer.trainer.records import read_records

SPACE = """
    model: {model}
    data: {data}
    fitness: [mAP50-95 + 10*GFLOPs, -GFLOPs]
    train: {{epochs: 1, batch: 4, optimizer: AdamW, mosaic: 0, plots: false, amp: false, warmup_epochs: 0}}
    search: {{trials: 4, seed: 1, pruner: none}}
    resources: {{cpus: 1}}
    space: {{imgsz: {{choices: [64, 128]}}}}
"""
"""Larger images gain by the one objective what they lose by the other, so that the front has one trial of each size."""


def test_a_study_of_two_objectives(tmp_path: Path, yolo_tiny: Path, bccd: Path) -> None:
    space = tmp_path / "cells.yaml"
    space.write_text(textwrap.dedent(SPACE.format(model=yolo_tiny, data=bccd)))
    done = run_verb(tmp_path, "--space", space)
    folder = StudyFolder(tmp_path / "runs" / "cells")
    assert "2 trials on the front, in runs/cells/front" in done.stdout
    assert "trials on the front, new: trial" in done.stdout

    study = read_study(str(folder.path))
    members = front(study.trials)
    assert [view.params["imgsz"] for view in members] == [128, 64]
    names = {f"{view.number:04d}" for view in members}
    assert {file.name for file in folder.front.iterdir()} == {
        f"{name}{end}" for name in names for end in (".pt", ".yaml")
    }
    kept = {file.parent.parent.name for file in folder.trials.glob("*/weights/best.pt")}
    assert kept == names
    best = yaml.safe_load((folder.best / "best.yaml").read_text())
    assert best["study"]["trial"] == members[0].number
    assert best["best_objectives"] == [*members[0].objectives]
    assert "## The front" in report(study)
    console = Console(width=120, record=True, file=(tmp_path / "status.txt").open("w"))
    console.print(Status(study))
    assert "front 2 trials, the defaults" in console.export_text()
    assert all(one.agrees for one in replay(study.space, study.trials) if one.again is not None)

    (folder.front / "0099.yaml").write_text("of a trial that was on the front once")
    last = f"{members[1].number:04d}"
    (folder.front / f"{last}.pt").unlink()
    assert "wrote the front, 2 trials" in run_verb(tmp_path, folder.path, verb="export").stdout
    assert not (folder.front / "0099.yaml").exists()
    assert (folder.front / f"{last}.pt").stat().st_size > 1000

    told = run_verb(tmp_path, folder.front / f"{last}.yaml", "--name", "again", verb="train").stdout
    assert "the same as the study's to the last digit" in told
    (again,) = read_records(next((tmp_path / "runs").rglob("again/records.jsonl")))
    (first,) = records_of(folder, members[1].number)
    assert (again.fitness, again.others, again.losses) == (first.fitness, first.others, first.losses)
    assert (first.fitness, *first.others) == members[1].objectives

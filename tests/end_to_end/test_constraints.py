"""A study under constraints, from its space to a retraining: what is too large is not trained, the rest is told."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import yaml

from end_to_end.conftest import records_of, run_verb
from raytrainer.config.layout import StudyFolder
from raytrainer.trainer.records import read_records

SPACE = """
    model: {model}
    data: {data}
    fitness: mAP50-95 - 0.001*latency_ms
    subject_to: ["GFLOPs < 0.3", "recall >= 1"]
    train: {{epochs: 1, batch: 4, optimizer: AdamW, mosaic: 0, plots: false, amp: false, warmup_epochs: 0}}
    search: {{trials: 4, seed: 1, pruner: none}}
    resources: {{cpus: 1}}
    space: {{imgsz: {{choices: [64, 320]}}}}
"""


def test_a_study_under_constraints(tmp_path: Path, yolo_tiny: Path, bccd: Path) -> None:
    space = tmp_path / "cells.yaml"
    space.write_text(textwrap.dedent(SPACE.format(model=yolo_tiny, data=bccd)))
    done = run_verb(tmp_path, "--space", space)
    folder = StudyFolder(tmp_path / "runs" / "cells")
    last = done.stdout.splitlines()[-1]
    assert "INFEASIBLE: no trial keeps all constraints, this one violates them least: recall >= 1 by " in last

    best = yaml.safe_load((folder.best / "best.yaml").read_text())
    measured = {file.name.split("-")[2]: json.loads(file.read_text()) for file in folder.measured.iterdir()}
    assert set(measured) == {"64", "320"}
    assert measured["320"]["measured"]["GFLOPs"] > 0.3 > measured["64"]["measured"]["GFLOPs"]
    assert best["train"]["imgsz"] == 64
    assert best["feasible"] is False
    assert best["measured"] == measured["64"]

    sizes = {}
    for number in range(4):
        records = records_of(folder, number)
        sizes[number] = 64 if records else 320
        assert not records or records[0].metrics.items() >= measured["64"]["measured"].items()
    assert set(sizes.values()) == {64, 320}
    told = run_verb(tmp_path, folder.path, verb="report").stdout
    assert told.count("subject_to asks for GFLOPs < 0.3") == list(sizes.values()).count(320)
    assert "INFEASIBLE" in told
    assert "INFEASIBLE" in run_verb(tmp_path, folder.path, verb="status").stdout
    assert "INFEASIBLE" in run_verb(tmp_path, folder.path, verb="export").stdout
    assert run_verb(tmp_path, folder.path, verb="replay").stdout.endswith("suggestions come out the same\n")

    run_verb(tmp_path, folder.best / "best.yaml", "--name", "again", verb="train")
    (again,) = read_records(next((tmp_path / "runs").rglob("again/records.jsonl")))
    first = records_of(folder, best["study"]["trial"])[0]
    assert (again.fitness, again.violations, again.losses) == (first.fitness, first.violations, first.losses)

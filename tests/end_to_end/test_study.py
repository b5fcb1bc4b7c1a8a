"""From a space file to a best configuration, for both families, and to the same fitness again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from end_to_end.conftest import records_of, run_verb, write_space
from raytrainer.config.layout import StudyFolder
from raytrainer.trainer.records import read_records

WITHOUT_THIS_PACKAGE = """
import sys
sys.modules["raytrainer"] = None
from ultralytics import RTDETR, YOLO
model = (RTDETR if sys.argv[2] == "rtdetr" else YOLO)(sys.argv[1])
print(len(model.predict(sys.argv[3], imgsz=64, verbose=False)))
"""


@pytest.fixture(params=["yolo", "rtdetr"])
def family(request: pytest.FixtureRequest) -> tuple[str, Path]:
    fixture = {"yolo": "pretrained", "rtdetr": "rtdetr_tiny"}[request.param]
    return request.param, request.getfixturevalue(fixture)


def test_a_study_from_its_space_to_the_same_fitness_again(family: tuple[str, Path], tmp_path: Path, bccd: Path) -> None:
    name, model = family
    done = run_verb(tmp_path, "--space", write_space(tmp_path, model, bccd), "--name", "cells")
    folder = StudyFolder(tmp_path / "runs" / "cells")
    best = yaml.safe_load((folder.best / "best.yaml").read_text())

    assert "CPU-hours held by trials, " in done.stdout.splitlines()[-2]
    assert "raytrainer train" in done.stdout.splitlines()[-1]
    assert f"{best['best_fitness']:.4f}" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stderr
    for number in range(3):
        records = records_of(folder, number)
        assert [r.epoch for r in records] == [1, 2]
        assert {"mAP50-95", "F1", "AP[Platelets]", "F1[RBC]"} <= records[-1].metrics.keys()
        assert records[-1].grad_norm
        assert folder.trial_log(number).read_text()

    loads = subprocess.run(
        [sys.executable, "-c", WITHOUT_THIS_PACKAGE, folder.best / "best.pt", name, next(bccd.parent.rglob("*.jpg"))],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert loads.returncode == 0, loads.stderr
    assert loads.stdout.strip().endswith("1")

    run_verb(tmp_path, folder.best / "best.yaml", "--name", "again", verb="train")
    again = read_records(next((tmp_path / "runs").rglob("again/records.jsonl")))
    first = records_of(folder, best["study"]["trial"])
    assert again[-1].best_fitness == best["best_fitness"]
    # So short a training may have a fitness of 0; its losses are equal to the last digit too.
    assert [(r.fitness, r.metrics, r.losses) for r in again] == [(r.fitness, r.metrics, r.losses) for r in first]


def test_searched_settings_reach_the_trainer(tmp_path: Path, rtdetr_tiny: Path, bccd: Path) -> None:
    """Each trial's settings and learning rates are those that were suggested for it."""
    run_verb(tmp_path, "--space", write_space(tmp_path, rtdetr_tiny, bccd), "--name", "cells")
    folder = StudyFolder(tmp_path / "runs" / "cells")
    ratios = set()
    for number in range(3):
        settings = yaml.safe_load((folder.trial(number) / "weights" / "settings.yaml").read_text())
        lr = records_of(folder, number)[-1].lr
        ratio = lr["backbone/weight"] / lr["head/weight"]
        assert ratio == pytest.approx(settings["backbone_lr_ratio"])
        ratios.add(round(ratio, 6))
    assert len(ratios) == 3


def test_the_same_seed_and_one_trial_at_a_time_give_the_same_study(
    tmp_path: Path, pretrained: Path, bccd: Path
) -> None:
    for name in ("one", "two"):
        run_verb(
            tmp_path,
            "--space",
            write_space(tmp_path, pretrained, bccd),
            "--name",
            name,
            "--max-concurrent",
            "1",
            "--quiet",
        )
    one, two = (StudyFolder(tmp_path / "runs" / name) for name in ("one", "two"))
    for number in range(3):
        first, second = records_of(one, number), records_of(two, number)
        assert [(r.fitness, r.metrics, r.losses) for r in first] == [(r.fitness, r.metrics, r.losses) for r in second]
        settings = [(study.trial(number) / "weights" / "settings.yaml").read_text() for study in (one, two)]
        assert settings[0] == settings[1]


def test_a_shipped_space_adapted_by_flags_alone(tmp_path: Path, pretrained: Path, bccd_whole: Path) -> None:
    """Long enough for a fitness above 0, which the best configuration then reaches again."""
    flags = ["--trials", "3", "--epochs", "3", "--set", "train.imgsz=128", "--set", "train.batch=8"]
    flags += ["--set", "train.close_mosaic=0", "--set", "space.mosaic=null"]
    flags += ["--set", "space.mixup=null", "--set", "train.mosaic=0"]
    run_verb(tmp_path, "--space", "yolo.yaml", "--model", pretrained, "--data", bccd_whole, "--name", "cells", *flags)
    folder = StudyFolder(tmp_path / "runs" / "cells")
    best = yaml.safe_load((folder.best / "best.yaml").read_text())
    assert best["best_fitness"] > 0
    run_verb(tmp_path, folder.best / "best.yaml", "--name", "again", verb="train")
    again = read_records(next((tmp_path / "runs").rglob("again/records.jsonl")))
    assert again[-1].best_fitness == best["best_fitness"]

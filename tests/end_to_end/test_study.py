"""From a space file to a best configuration, for both families, and to the same fitness again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from raytrainer.config.layout import StudyFolder
from raytrainer.trainer.records import EpochRecord

Cli = Callable[..., subprocess.CompletedProcess[str]]

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


def test_a_study_from_its_space_to_the_same_fitness_again(
    family: tuple[str, Path], tmp_path: Path, bccd: Path, space_file: Callable[[str | Path], Path], run_cli: Cli
) -> None:
    name, model = family
    done = run_cli("--space", space_file(model), "--name", "cells")
    folder = StudyFolder(tmp_path / "runs" / "cells")
    best = yaml.safe_load((folder.best / "best.yaml").read_text())

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

    run_cli(folder.best / "best.yaml", "--name", "again", verb="train")
    again = next((tmp_path / "runs").rglob("again/records.jsonl"))
    fitness = [json.loads(line)["fitness"] for line in again.read_text().splitlines()]
    assert max(fitness) == best["best_fitness"]
    assert fitness == [r.fitness for r in records_of(folder, best["study"]["trial"])]


def test_searched_settings_reach_the_trainer(
    tmp_path: Path, rtdetr_tiny: Path, space_file: Callable[[str | Path], Path], run_cli: Cli
) -> None:
    """Each trial's settings and learning rates are those that were suggested for it."""
    run_cli("--space", space_file(rtdetr_tiny), "--name", "cells")
    folder = StudyFolder(tmp_path / "runs" / "cells")
    ratios = set()
    for number in range(3):
        settings = yaml.safe_load((folder.trial(number) / "settings.yaml").read_text())
        lr = records_of(folder, number)[-1].lr
        ratio = lr["backbone/weight"] / lr["head/weight"]
        assert ratio == pytest.approx(settings["backbone_lr_ratio"])
        ratios.add(round(ratio, 6))
    assert len(ratios) == 3


def test_the_same_seed_and_one_trial_at_a_time_give_the_same_study(
    tmp_path: Path, pretrained: Path, space_file: Callable[[str | Path], Path], run_cli: Cli
) -> None:
    for name in ("one", "two"):
        run_cli("--space", space_file(pretrained), "--name", name, "--max-concurrent", "1", "--quiet")
    one, two = (StudyFolder(tmp_path / "runs" / name) for name in ("one", "two"))
    for number in range(3):
        first, second = records_of(one, number), records_of(two, number)
        assert [r.metrics for r in first] == [r.metrics for r in second]
        assert [r.fitness for r in first] == [r.fitness for r in second]
        settings = [(study.trial(number) / "settings.yaml").read_text() for study in (one, two)]
        assert settings[0] == settings[1]


def records_of(folder: StudyFolder, number: int) -> list[EpochRecord]:
    lines = (folder.trial(number) / "records.jsonl").read_text().splitlines()
    return [EpochRecord.from_json(line) for line in lines]

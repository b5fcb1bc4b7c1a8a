"""A small real study for the end-to-end tests, run as a user runs it: `tune.py` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from raytrainer.config.layout import StudyFolder
from raytrainer.trainer.records import EpochRecord, read_records

PROJECT = Path(__file__).resolve().parents[2]

SPACE = """
    model: {model}
    data: {data}
    fitness: 0.9*mAP50-95 + 0.1*mAP50 + 0.1*mean(F1)
    train: {{epochs: 2, imgsz: 64, batch: 4, optimizer: AdamW, mosaic: 0, plots: false, amp: false, warmup_epochs: 0}}
    trainer: {{class_weights: inverse_frequency}}
    search: {{trials: 3, seed: 7, pruner: none}}
    resources: {{cpus: 1}}
    space:
      lr0: {{low: 1e-4, high: 1e-2, log: true, default: 0.002}}
      backbone_lr_ratio: {{low: 0.05, high: 1.0, log: true, default: 0.1}}
      clip_grad_norm: {{choices: [0.1, 10.0], default: 10.0}}
      class_weights_power: {{low: 0.0, high: 1.0, default: 0.5}}
"""


def write_space(folder: Path, model: str | Path, data: str | Path) -> Path:
    """Writes the space file for a model and returns its path."""
    path = folder / "cells.yaml"
    path.write_text(textwrap.dedent(SPACE.format(model=model, data=data)))
    return path


def run_verb(
    folder: Path, *arguments: str | Path, verb: str = "tune", check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs `python tune.py …`, or `raytrainer VERB …`, in a folder."""
    program = [str(PROJECT / "tune.py")] if verb == "tune" else ["-m", "raytrainer.cli", verb]
    done = subprocess.run(
        [sys.executable, *program, *map(str, arguments)], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done


def environment() -> dict[str, str]:
    """The environment of a user's shell, with this checkout importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "120"}


def records_of(folder: StudyFolder, number: int) -> list[EpochRecord]:
    """What a trial reported, epoch by epoch."""
    return read_records(folder.trial(number) / "records.jsonl")

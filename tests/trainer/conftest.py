"""Configurations of short trainings, and a fitness that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings

Trial = Callable[..., TrialConfig]


@pytest.fixture
def trial(bccd: Path, yolo_tiny: Path) -> Trial:
    """A configuration: `trial(model, Settings(...), epochs=2)`; by default the small YOLO and stock settings."""

    def config(model: str | Path | None = None, settings: Settings | None = None, **train: Any) -> TrialConfig:
        quick = {
            "data": str(bccd), "imgsz": 64, "epochs": 3, "batch": 4, "nbs": 4, "device": "cpu", "optimizer": "AdamW",
            "lr0": 0.002, "amp": False, "plots": False, "verbose": False, "seed": 0, "pretrained": False,
        }  # fmt: skip
        return TrialConfig(str(model or yolo_tiny), quick | train, settings or Settings(), {})

    return config


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[[Sequence[float]], str]:
    """The text of a fitness that is these values, one an epoch, whatever the metrics are."""

    def fitness(values: Sequence[float]) -> str:
        file = tmp_path / "scripted.py"
        listed = ", ".join(f"float('{value}')" for value in values)
        file.write_text(f"values = [{listed}]\n\n\ndef score(metrics):\n    return values.pop(0)\n")
        return f"{file}:score"

    return fitness

"""The seed alone decides on the random numbers of a training, whatever its process has imported before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import raytrainer

BUILD = """
import random, sys
from pathlib import Path
if sys.argv[1] != "nothing":
    __import__(sys.argv[1])
from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings
from raytrainer.trainer.run import build
train = {"data": sys.argv[2], "epochs": 1, "imgsz": 64, "seed": 5, "device": "cpu"}
build(TrialConfig("yolov8n.yaml", train, Settings(), {}), Path("run").resolve())
built = random.getstate()
random.seed(5)
sys.exit(0 if built == random.getstate() else "something drew random numbers after the trainer was seeded")
"""


@pytest.mark.parametrize("imported", ["nothing", "ray.tune"])
def test_nothing_draws_between_the_seed_and_the_set_up(imported: str, bccd: Path, tmp_path: Path) -> None:
    """Ultralytics imports its integrations there, and rich, which ray.tune imports, draws a number to begin with."""
    environment = {**os.environ, "PYTHONPATH": str(Path(raytrainer.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, imported, str(bccd)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]

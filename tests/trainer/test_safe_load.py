"""A checkpoint from elsewhere runs no code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrainer.trainer.environment import SAFE_LOAD

CHECK = """
import sys
from raytrainer.cli import main
sys.exit(main(["check", sys.argv[1]]))
"""


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("trusted", [False, True])
def test_code_in_a_checkpoint_is_not_run(trusted: bool, tmp_path: Path, bccd: Path) -> None:
    model, target = tmp_path / "model.pt", tmp_path / "owned"
    torch.save({"model": Bomb(target), "train_args": {}}, model, pickle_module=pickle)
    space = tmp_path / "space.yaml"
    searched = "train: {epochs: 1, imgsz: 64}\nresources: {gpus: 0}\nspace: {box: [7.5, 5.0]}\n"
    space.write_text(f"model: {model}\ndata: {bccd}\n{searched}")
    environment = {key: value for key, value in os.environ.items() if key != SAFE_LOAD}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(space)], cwd=tmp_path, text=True, capture_output=True, timeout=120,
        env=environment | ({SAFE_LOAD: "0"} if trusted else {}),
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert target.exists() is trusted
    assert ("ULTRALYTICS_SAFE_LOAD=0" in done.stderr) is not trusted

"""The demo's base model, kept for the next run: fine-tuning it gives a signal from the first epochs on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from raytrainer.demo.dataset import BASE, digits

MODEL = Path(__file__).with_name("base.yaml")
PRETRAINING = Path(__file__).with_name("pretraining.yaml")


def base_checkpoint(folder: str | Path, announce: Callable[[str], None] = print) -> Path:
    """A checkpoint of the base model in `folder`, trained first if it is not there (about a minute on two cores).

    It is trained in a process of its own, so that this one need not import torch; the process's output is the file
    `pretraining.log` in `folder`. Another recipe gets another name, so that an old checkpoint is never taken for it.

    Raises:
        RuntimeError: if the training failed; it names the log.
    """
    data = digits(folder, BASE)
    target = Path(folder).resolve() / f"digits-base-{_recipe()}.pt"
    if not target.exists():
        announce("Training the demo's base model on other digits, once: about a minute on two cores.")
        _train(data, target)
    return target


def _recipe() -> str:
    """Eight characters that change with anything that the checkpoint depends on, but for the library versions."""
    parts = (MODEL.read_bytes(), PRETRAINING.read_bytes(), BASE.digest.encode())
    return hashlib.sha256(b"\n".join(parts)).hexdigest()[:8]


def _train(data: Path, target: Path) -> None:
    log = target.with_name("pretraining.log")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="pretraining-") as scratch:
        arguments = [str(MODEL), str(data), str(PRETRAINING), scratch]
        command = [sys.executable, "-m", "raytrainer.demo.pretraining", *arguments]
        with log.open("w") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"training the demo's base model failed, see {log}")
        os.replace(Path(scratch) / "weights" / "best.pt", target)

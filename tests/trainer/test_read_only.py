"""Datasets that cannot be written to are trained on; a study that cannot be is told, before anything starts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raytrainer.cli import main
from raytrainer.trainer.run import train


@pytest.fixture
def read_only(bccd: Path, tmp_path: Path) -> Iterator[Path]:
    """data.yaml of a dataset on a file system that is mounted read-only: to root, permissions mean nothing."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a file system of its own takes Linux and root")
    shutil.copytree(bccd.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.cache"))
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    yield folder / "data.yaml"
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("cache", [False, "disk"])
def test_a_dataset(cache: Any, read_only: Path, trial: Any, tmp_path: Path) -> None:
    result = train(trial(data=str(read_only), epochs=1, cache=cache), tmp_path / "run", threads=1)
    assert len(result.records) == 1
    assert not list(read_only.parent.rglob("*.cache"))


def test_a_study(read_only: Path, tmp_path: Path, yolo_tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "cells.yaml"
    searched = "train: {optimizer: SGD}\nspace: {lr0: {low: 0.01, high: 0.1}}\n"
    space.write_text(f"model: {yolo_tiny}\ndata: {read_only}\n{searched}")
    assert main(["tune", "--space", str(space), "--storage", str(read_only.parent), "--quiet"]) == 2
    assert f"{read_only.parent}/cells: cannot be written: Read-only file system" in capsys.readouterr().err

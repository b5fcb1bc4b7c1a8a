"""`ray job submit` starts a study on a cluster from a machine that has nothing to do with it afterwards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from raytrainer.search.reading import read_views

from .conftest import PROJECT, RAY, SECONDS, Head


@pytest.fixture
def folder(workplace: Path) -> Path:
    """A working folder as a user has it: a checkout, with a space and what it names."""
    shutil.copy(PROJECT / "tune.py", workplace)
    shutil.copytree(PROJECT / "raytrainer", workplace / "raytrainer", ignore=shutil.ignore_patterns("__pycache__"))
    return workplace


def submit(head: Head, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Submits `python tune.py --space cells.yaml` with the folder, and follows it to its end."""
    job = ["python", "tune.py", "--space", "cells.yaml", *flags]
    return subprocess.run(
        [RAY, "job", "submit", "--address", head.dashboard, "--working-dir", str(folder), "--", *job],
        env=head.environment(), capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip


def test_a_submitted_study_goes_on_when_it_is_submitted_again(head: Head, folder: Path, tmp_path: Path) -> None:
    flags = ("--storage", str(tmp_path / "studies"), "--epochs", "1")
    first = submit(head, folder, *flags, "--trials", "1")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Best fitness" in first.stdout
    (folder / "notes.txt").write_text("another file, so that Ray copies the folder to another place")
    second = submit(head, folder, *flags, "--trials", "2")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "1 of them ended before" in second.stdout
    assert [view.state for view in read_views(tmp_path / "studies" / "cells")] == ["complete", "complete"]


def test_a_study_is_not_kept_in_the_folder_that_ray_removes(head: Head, folder: Path) -> None:
    done = submit(head, folder)
    assert done.returncode != 0
    assert "storage: expected an absolute path" in done.stdout
    assert "the working folder of a submitted job is a copy, which Ray removes" in done.stdout

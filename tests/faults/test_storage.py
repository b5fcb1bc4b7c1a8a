"""Storage that is full, read-only, gone or slow pauses a study; once it is well again, it ends as if nothing had been.

The file systems are real. Slow ones cannot be had without a driver of their own: there the calls themselves sleep.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.conftest import SECONDS, Laboratory, Trained, assert_as_if_nothing_had_happened, running
from faults.disks import Disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system of its own with room for two trials that train, at 10 MB each, but not for what six would leave."""
    made = Disk(tmp_path / "image", tmp_path / "disk", "40M")
    yield made
    made.unmount()


@pytest.fixture
def laboratory_on_disk(joined: Laboratory, disk: Disk) -> Laboratory:
    """A study that has not begun, and will be there."""
    joined.study.path.parent.symlink_to(disk.folder)
    return joined


def test_full_then_read_only_then_gone_then_back(
    laboratory_on_disk: Laboratory, disk: Disk, undisturbed: list[Any]
) -> None:
    """After somebody has made room it goes as a disk does that fails: the kernel protects it, and it is taken out."""
    laboratory = laboratory_on_disk
    with running(start(laboratory)) as driver:
        laboratory.wait_for_epochs(3, driver)
        disk.fill()
        wait_for_text(laboratory, "waits, nothing is lost", driver)
        disk.free()
        wait_for_text(laboratory, "goes on", driver)
        laboratory.wait_for_epochs(8, driver)
        disk.abort()
        wait_for_text(laboratory, "Read-only file system", driver)
        disk.unmount()
        time.sleep(6)  # a trial looks every five seconds
        assert not any(disk.folder.iterdir()), "nothing is begun anew on the empty mount point"
        disk.mount()
        trained = Trained(laboratory)
        assert driver.wait(SECONDS) == 0, said(laboratory).read_text()
    assert "Traceback" not in said(laboratory).read_text()
    assert trained.again() == []
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def test_power_is_lost(laboratory_on_disk: Laboratory, disk: Disk, undisturbed: list[Any]) -> None:
    """Twice: the disk has what was synchronised, and of the rest what it had got to; every process is gone."""
    laboratory = laboratory_on_disk
    done: dict[int, int] = {}
    for epochs in (4, 11):
        trained = Trained(laboratory, done)
        with running(start(laboratory)) as driver:
            laboratory.wait_for_epochs(epochs, driver)
            done = laboratory.epochs_done()
            disk.abort()
        disk.unmount()
        disk.mount()
        assert trained.again() == []
    trained = Trained(laboratory, done)
    laboratory.finish()
    assert trained.again() == []
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def test_slow_and_small(laboratory_on_disk: Laboratory, undisturbed: list[Any]) -> None:
    """A second for every write of the study, and for every state of the first two trials. No trial waits for room."""
    laboratory = laboratory_on_disk
    journal = {"call": "os.write", "path": r"study\.journal$", "seconds": 1}
    state = {"call": "os.fsync", "path": r"000[01]/weights/\.state\.pt\.", "seconds": 1}
    assert "waits" not in laboratory.finish(slow=[journal, state], quiet=False)
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def start(laboratory: Laboratory) -> subprocess.Popen[str]:
    """A driver whose words go to a file beside the disk."""
    return laboratory.start(quiet=False, output=said(laboratory).open("w"))


def said(laboratory: Laboratory) -> Path:
    return laboratory.folder / "said"


def wait_for_text(laboratory: Laboratory, text: str, driver: subprocess.Popen[str]) -> None:
    deadline, path = time.monotonic() + SECONDS, said(laboratory)
    while text not in path.read_text():
        assert driver.poll() is None, path.read_text()
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.1)

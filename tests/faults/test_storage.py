"""A disk that runs full in the middle of a study pauses it; with space again it ends as if nothing had happened."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.conftest import SECONDS, Laboratory, assert_as_if_nothing_had_happened, make_laboratory, running


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small filesystem needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_pauses_the_study(small_disk: Path, pretrained: Path, bccd: Path, undisturbed: list[Any]) -> None:
    laboratory = make_laboratory(small_disk, pretrained, bccd)
    with running(start(laboratory)) as driver:
        laboratory.wait_for_epochs(4, driver)
        fill(small_disk / "ballast")
        wait_for_text(small_disk.parent / "said", "nothing is lost", driver)
        (small_disk / "ballast").unlink()
        assert driver.wait(SECONDS) == 0, (small_disk.parent / "said").read_text()
    said = (small_disk.parent / "said").read_text()
    assert "Traceback" not in said
    assert "goes on" in said
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def start(laboratory: Laboratory) -> subprocess.Popen[str]:
    """A driver whose words go to a file beside the disk."""
    said = (laboratory.folder.parent / "said").open("w")
    return laboratory.start(quiet=False, output=said)


def fill(path: Path) -> None:
    """Take all the space that there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def wait_for_text(path: Path, text: str, driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while text not in path.read_text():
        assert driver.poll() is None, path.read_text()
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.1)

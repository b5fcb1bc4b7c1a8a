"""What a study takes of its disk, counted and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.results import disk_use as counting
from raytrainer.results.disk_use import OLD, DiskUse, disk_use, size


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """1,500 bytes in two files, and a link that leads nowhere."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"1" * 1000)
    (tmp_path / "a" / "b" / "two").write_bytes(b"2" * 500)
    return tmp_path


def test_bytes_of_a_folder(folder: Path) -> None:
    assert disk_use(folder) == 1500
    assert disk_use(folder / "gone") == 0


def test_files_that_vanish_meanwhile_are_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked = list(counting.os.walk(folder))
    (folder / "a" / "one").unlink()
    monkeypatch.setattr(counting.os, "walk", lambda _: walked)
    assert disk_use(folder) == 500


def test_they_are_counted_now_and_then(folder: Path) -> None:
    now = [0.0]
    use = DiskUse(folder, lambda: now[0])
    assert use() == 1500
    (folder / "three").write_bytes(b"3")
    assert use() == 1500
    now[0] += 1.1 * OLD
    assert use() == 1501


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_300_000, "2.3 MB"), (5e12, "5000.0 GB")]
)
def test_size(count: float, text: str) -> None:
    assert size(count) == text

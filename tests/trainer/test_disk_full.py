"""A full disk ends a run with an error of its own, and costs nothing that was written before."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrainer.trainer import atomic
from raytrainer.trainer.atomic import DiskFull, full_disk_told
from raytrainer.trainer.checkpoint import strip
from raytrainer.trainer.records import EpochRecord, append_record, read_records
from raytrainer.trainer.run import train
from raytrainer.trainer.state_file import read_state, write_state

from .runs import differences, last_state, train_through


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 32 megabytes, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    possible = sys.platform == "linux" and shutil.which("mount") is not None
    if not possible or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here, which takes Linux and root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Leave so many bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(free - leave))
    return ballast


def test_a_run_on_a_full_disk_goes_on_when_there_is_space_again(trial: Any, small_disk: Path, tmp_path: Path) -> None:
    """Filled while it trains, after its second epoch; on an empty disk it ends in the bits of an undisturbed run."""
    config = trial(epochs=4, nbs=8)
    train_through(config, tmp_path / "whole")
    run = small_disk / "run"
    told: list[int] = []

    def on_epoch(record: EpochRecord) -> None:
        told.append(record.epoch)
        if record.epoch == 2:
            shutil.copytree(run, tmp_path / "before")
            fill(small_disk, 100_000)

    with pytest.raises(DiskFull, match="No space left on device; free some") as raised:
        train(config, run, threads=1, on_epoch=on_epoch, final_eval=False)
    assert raised.value.errno == errno.ENOSPC
    assert told == [1, 2]
    assert not list(run.rglob("*.partial"))
    assert [record.epoch for record in read_records(run / "records.jsonl")] == [1, 2]
    for name in ("state.pt", "last.pt", "best.pt"):
        assert (run / "weights" / name).read_bytes() == (tmp_path / "before/weights" / name).read_bytes()
    (small_disk / "ballast").unlink()
    shutil.move(run, tmp_path / "run")
    train_through(config, tmp_path / "run", on=told)
    assert told == [1, 2, 3, 4]
    assert list(differences(last_state(tmp_path / "whole"), last_state(tmp_path / "run"))) == []


def append_until_the_page_is_full(records: Path) -> None:
    for _ in range(100):
        append_record(records, EpochRecord(2, 0.5, 0.5, 2))


def test_a_state_or_a_line_that_does_not_fit_leaves_what_was_there(small_disk: Path) -> None:
    write_state(small_disk, {"epoch": 1, "tensor": torch.zeros(10)})
    records = small_disk / "records.jsonl"
    append_record(records, EpochRecord(1, 0.5, 0.5, 1))
    fill(small_disk, 0)
    with pytest.raises(DiskFull):  # torch says no more than: unexpected pos 704 vs 598
        write_state(small_disk, {"epoch": 2, "tensor": torch.zeros(1_000_000)})
    with pytest.raises(DiskFull):
        append_until_the_page_is_full(records)
    state = read_state(small_disk)
    assert state is not None
    assert state["epoch"] == 1
    assert records.read_bytes().endswith(b"}\n")
    assert read_records(records)[0].epoch == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, on which every write finds no space")
def test_a_device_without_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path, {"epoch": 1})
    opened = Path.open

    def full(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        return opened(Path("/dev/full") if path.suffix == ".partial" else path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DiskFull) as raised:
        write_state(tmp_path, {"epoch": 2, "tensor": torch.zeros(100_000)})
    assert raised.value.errno == errno.ENOSPC
    monkeypatch.undo()
    state = read_state(tmp_path)
    assert state is not None
    assert state["epoch"] == 1


def test_a_short_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system writes what fits, and raises nothing."""
    file = tmp_path / "records.jsonl"
    append_record(file, EpochRecord(1, 0.5, 0.5, 1))
    before = file.read_bytes()

    class Short(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:7])

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Short(str(path), "a"))
    with pytest.raises(DiskFull):
        append_record(file, EpochRecord(2, 0.5, 0.5, 2))
    monkeypatch.undo()
    assert file.read_bytes() == before


@pytest.mark.parametrize("number", atomic.FULL)
def test_only_a_full_disk_is_called_one(number: int) -> None:
    with pytest.raises(DiskFull), full_disk_told():
        raise OSError(number, "full")
    with pytest.raises(DiskFull), full_disk_told():
        raise RuntimeError("unexpected pos") from OSError(number, "full")
    with pytest.raises(PermissionError), full_disk_told():
        raise PermissionError(errno.EACCES, "denied")
    with pytest.raises(RuntimeError, match="other"), full_disk_told():
        raise RuntimeError("other")


@pytest.mark.parametrize("leave", [0, 200_000])
def test_checkpoints_that_cannot_be_stripped_stay_as_they_are(leave: int, trial: Any, small_disk: Path) -> None:
    """torch writes to a path by itself, and says no more than that it could not."""
    train(trial(epochs=1), small_disk / "run", threads=1, final_eval=False)
    weights = small_disk / "run" / "weights"
    before = {path.name: path.read_bytes() for path in weights.iterdir()}
    ballast = fill(small_disk, leave)
    with pytest.raises(DiskFull):
        strip(weights)
    assert {path.name: path.read_bytes() for path in weights.iterdir()} == before
    ballast.unlink()
    strip(weights)
    assert (weights / "best.pt").stat().st_size < len(before["best.pt"])

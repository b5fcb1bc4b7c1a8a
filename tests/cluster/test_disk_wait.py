"""A training that finds the disk full, read-only or gone waits, and begins again where it was."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raytrainer.cluster import disk_wait
from raytrainer.cluster.disk_wait import DiskWait
from raytrainer.cluster.training_thread import Event, Failed, Finished, Waiting, short_of
from raytrainer.config.layout import StudyFolder
from raytrainer.trainer.atomic import DiskFull

from .scripted import Scripted

FULL = OSError(errno.ENOSPC, "No space left on device")


def caused(error: Exception) -> Exception:
    """What torch makes of it."""
    other = RuntimeError("unexpected pos 704 vs 598")
    other.__context__ = error
    return other


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A study's, with a place for its trials."""
    (tmp_path / "trials").mkdir()
    return StudyFolder(tmp_path)


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (FULL, "disk"), (OSError(errno.EDQUOT, "quota"), "disk"), (DiskFull(errno.ENOSPC, "full", "state.pt"), "disk"),
        (OSError(errno.EROFS, "read-only"), "disk"), (OSError(errno.ESTALE, "stale"), "disk"), (caused(FULL), "disk"),
        (OSError(errno.EACCES, "no"), None), (MemoryError(), "memory"), (ValueError(), None),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_short(error: Exception, lacks: str | None) -> None:
    assert short_of(error) == lacks


def test_waits_until_there_is_space(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is full when the training begins, and again when that writes."""
    waits: list[float] = []
    monkeypatch.setattr(disk_wait.time, "sleep", waits.append)
    begun = begins([FULL, [Failed("no space", "disk")], [Failed("no space", "disk")], [Finished()]])
    training = DiskWait(lambda: next(begun), folder)
    assert training.abandon(1)
    events = [training.next() for _ in range(4)]
    assert [type(event) for event in events] == [Waiting, Waiting, Waiting, Finished]
    assert len(waits) == 3
    assert not training.abandon(1)


@pytest.mark.parametrize("failed", [Failed("ValueError"), Failed("out of memory", "memory")])
def test_other_failures_pass(failed: Failed, folder: StudyFolder) -> None:
    assert DiskWait(lambda: Scripted([failed]), folder).next() == failed


def test_a_folder_that_is_gone_is_waited_for_whatever_the_training_says(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is begun in its place, as on a mount point that has lost its file system."""
    away = folder.path.with_name("away")
    begun = begins([vanishing(folder, away), [Finished()]])
    monkeypatch.setattr(disk_wait.time, "sleep", lambda _: None)
    training = DiskWait(lambda: next(begun), folder)
    assert [type(training.next()) for _ in range(3)] == [Waiting] * 3
    assert not folder.path.exists()
    away.rename(folder.path)
    assert isinstance(training.next(), Finished)


def vanishing(folder: StudyFolder, away: Path) -> Iterator[Event]:
    folder.path.rename(away)
    yield Failed("Superseded")


def test_other_errors_on_beginning_pass(folder: StudyFolder) -> None:
    def begin() -> Any:
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        DiskWait(begin, folder).next()


def begins(steps: list[Any]) -> Iterator[Any]:
    class Begin:
        def __init__(self) -> None:
            self._steps = iter(steps)

        def __iter__(self) -> Begin:
            return self

        def __next__(self) -> Any:
            step = next(self._steps)
            if isinstance(step, Exception):
                raise step
            return Scripted(step)

    return Begin()

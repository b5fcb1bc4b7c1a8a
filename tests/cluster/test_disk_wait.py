"""A training that finds the disk full waits, and begins again where it was."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

from raytrainer.cluster import disk_wait
from raytrainer.cluster.disk_wait import DiskWait
from raytrainer.cluster.training_thread import Event, Failed, Finished, Waiting, short_of
from raytrainer.trainer.atomic import DiskFull

FULL = OSError(errno.ENOSPC, "No space left on device")


class Scripted:
    """A training that gives the events of a list."""

    def __init__(self, events: list[Event]) -> None:
        self._events = iter(events)

    def next(self) -> Event:
        return next(self._events)

    def abandon(self, seconds: float) -> bool:  # noqa: ARG002
        return False


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (FULL, "disk"), (OSError(errno.EDQUOT, "quota"), "disk"), (DiskFull(errno.ENOSPC, "full", "state.pt"), "disk"),
        (OSError(errno.EACCES, "no"), None), (MemoryError(), "memory"), (ValueError(), None),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_short(error: Exception, lacks: str | None) -> None:
    assert short_of(error) == lacks


def test_waits_until_there_is_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is full when the training begins, and again when that writes."""
    waits: list[float] = []
    monkeypatch.setattr(disk_wait.time, "sleep", waits.append)
    begun = begins([FULL, [Failed("no space", "disk")], [Failed("no space", "disk")], [Finished()]])
    training = DiskWait(lambda: next(begun))
    assert training.abandon(1)
    events = [training.next() for _ in range(4)]
    assert [type(event) for event in events] == [Waiting, Waiting, Waiting, Finished]
    assert len(waits) == 3
    assert not training.abandon(1)


@pytest.mark.parametrize("failed", [Failed("ValueError"), Failed("out of memory", "memory")])
def test_other_failures_pass(failed: Failed) -> None:
    assert DiskWait(lambda: Scripted([failed])).next() == failed


def test_other_errors_on_beginning_pass() -> None:
    def begin() -> Any:
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        DiskWait(begin).next()


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

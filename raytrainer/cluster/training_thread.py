"""A training run turned inside out: the trial's actor asks for one epoch after another.

Ultralytics owns its loop and Ray Tune owns its own. The training runs in a thread of its own and stands still at the
end of every validated epoch until the next one is asked for, so that no batch is computed that an early stop wastes.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Literal, Protocol

from raytrainer.config.constraints import RuledOut
from raytrainer.trainer.atomic import trouble_behind
from raytrainer.trainer.records import EpochRecord

Train = Callable[[Callable[[EpochRecord], None]], Any]
"""Runs a whole training and calls its argument with the record of every validated epoch."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The training ran to its end."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The training raised; `reason` is one line, the traceback went to standard error."""

    reason: str
    short_of: Literal["memory", "disk"] | None = None
    """What there was not enough of; such a failure says nothing about the configuration."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """The training ended before its first epoch, since it could keep no constraint that the architecture violates."""

    reason: str
    violations: list[float]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The training stands still until what it lacks is there."""

    reason: str


@dataclass(frozen=True, slots=True)
class Amended:
    """The trial goes on with these training arguments beside its own."""

    arguments: Mapping[str, Any]


Event = EpochRecord | Finished | Failed | Excluded | Waiting | Amended


class Training(Protocol):
    """A training that goes on from one epoch's end to the next when it is told to."""

    def next(self) -> Event:
        """Train to the end of the next validated epoch, or to the end."""

    def abandon(self, seconds: float) -> bool:
        """End it where it stands; False if it still runs after `seconds`."""


class TrainingThread:
    """Runs `train` up to the next epoch's end, again and again.

    Args:
        train: called once, in a thread of its own, with the function that takes each epoch's record. That function
            raises `stop` once `abandon` was called.
        stop: what to raise inside the training to abandon it.
    """

    def __init__(self, train: Train, stop: type[Exception]) -> None:
        self._train = train
        self._stop = stop
        self._abandoned = False
        self._go = threading.Semaphore(0)
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def next(self) -> Event:
        """Let the training go on to the end of its next validated epoch, or to its own end, and return which it was."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._go.release()
        return self._events.get()

    def abandon(self, seconds: float) -> bool:
        """End the training where it stands and wait for its clean-up; False if it still runs after `seconds`."""
        self._abandoned = True
        self._go.release()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._train(self._hand_over)
        except self._stop:
            self._events.put(Finished())
        except RuledOut as error:
            self._events.put(Excluded(error.reason, error.violations))
        except BaseException as error:  # whatever ends the training is the trial's result, SystemExit included
            with suppress(OSError):  # the log lies on the disk that may be full
                traceback.print_exc()
            self._events.put(Failed(reason_of(trouble_behind(error) or error), short_of(error)))
        else:
            self._events.put(Finished())

    def _hand_over(self, record: EpochRecord) -> None:
        self._events.put(record)
        self._go.acquire()
        if self._abandoned:
            raise self._stop


def short_of(error: BaseException) -> Literal["memory", "disk"] | None:
    """What there was not enough of, if that is what an error says; of a disk that is gone there is nothing."""
    if trouble_behind(error) is not None:
        return "disk"
    return "memory" if isinstance(error, MemoryError) else None


def reason_of(error: BaseException) -> str:
    """One line that tells an engineer what ended a trial."""
    text = " ".join(str(error).split())
    if "out of memory" in text.lower() or isinstance(error, MemoryError):
        return f"out of memory: {text[:300]}" if text else "out of memory"
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__

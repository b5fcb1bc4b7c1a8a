"""What a study has taken so far, counted on as its trials report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from raytrainer.config.space import Budget
from raytrainer.search.budget import Hours, Left, Taken, epochs_of
from raytrainer.search.views import TrialView

Write = Callable[[float], None]
Note = Callable[[int, str, Any], None]
STARTS = "starts"
"""Note of a trial, if its hours are bounded: how often it began or went on, and the seconds that it was held for that,
each time up to the end of the epoch that came next."""
WRITTEN_EVERY = 60.0
"""Seconds after which a report writes down how many were spent, if the budget bounds them: the driver may be killed."""
HoursOf = Callable[[int], Hours]
"""Says what a trial has taken, by its number."""


@dataclass(frozen=True)
class NoHours:
    """What a trial has taken of which nobody knows."""

    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    held: float = 0.0


def unknown(_: int) -> Hours:
    """No hours."""
    return NoHours()


def nowhere(_: float) -> None:
    """Writes nothing down."""


def unnoted(_: int, __: str, ___: Any) -> None:
    """Keeps nothing."""


class Meter:
    """Counts. A trial is asked for its hours when it reports or ends, and only if the budget bounds any.

    Args:
        budget: what is bounded.
        views: trials so far.
        seconds: that earlier drivers have spent on the study.
        hours: of a trial.
        write: takes the seconds that drivers have spent by now, for the next one.
        note: keeps a note of a trial, likewise.
    """

    def __init__(
        self,
        budget: Budget,
        views: Sequence[TrialView],
        seconds: float,
        hours: HoursOf,
        write: Write = nowhere,
        note: Note = unnoted,
    ) -> None:
        self._budget, self._hours, self._write, self._note = budget, hours, write, note
        self._timed = bool(budget.given.keys() - {"epochs"})
        self._before, self._opened = seconds, time.monotonic()
        self._written = self._opened
        self._of_trial: dict[int, Hours] = {}
        self._cpu_hours = self._gpu_hours = self._held = 0.0
        self._of_starts: dict[int, tuple[int, float]] = {}
        self._starts, self._first = 0, 0.0
        self._going = set[int]()
        for view in views:
            self._count(view.number, *view.notes.get(STARTS, (0, 0.0)))
        self.epochs = epochs_of(views)
        for view in views if self._timed else ():
            self._ask(view.number)

    def reported(self, number: int) -> None:
        """A trial has reported an epoch."""
        self.epochs += 1
        if self._timed:
            before = self._of_trial.get(number, NoHours())
            self._ask(number)
            if number not in self._going:
                self._started(number, self._of_trial[number].held - before.held)
        if self._budget.wall is not None and time.monotonic() - self._written >= WRITTEN_EVERY:
            self.write()

    def paused(self, number: int) -> None:
        """A trial has paused."""
        if self._timed:
            self._ask(number)
            self._going.discard(number)

    def ended(self, number: int) -> None:
        """A trial has ended."""
        self.paused(number)
        self.write()

    def write(self) -> None:
        """Writes the seconds down."""
        self._written = time.monotonic()
        self._write(self.seconds)

    @property
    def seconds(self) -> float:
        """Seconds that drivers have spent on the study."""
        return self._before + time.monotonic() - self._opened

    @property
    def taken(self) -> Taken:
        """What was taken by now."""
        hours = self.seconds / 3600, self._gpu_hours, self._cpu_hours
        return Taken(self.epochs, *hours, self._held, self._starts, self._starting)

    @property
    def left(self) -> Left:
        """What is left of the budget now."""
        return Left.of(self._budget, self.taken)

    @property
    def _starting(self) -> float:
        """Seconds of starts, less their epochs if others say how long those are."""
        others = self.epochs - self._starts
        if not others or self._held <= self._first:
            return 0.0
        return max(0.0, self._first - self._starts * (self._held - self._first) / others)

    def _started(self, number: int, seconds: float) -> None:
        self._going.add(number)
        starts, before = self._of_starts.get(number, (0, 0.0))
        self._count(number, starts + 1, round(before + seconds, 3))
        self._note(number, STARTS, list(self._of_starts[number]))

    def _count(self, number: int, starts: int, first: float) -> None:
        before = self._of_starts.get(number, (0, 0.0))
        self._of_starts[number] = starts, first
        self._starts += starts - before[0]
        self._first += first - before[1]

    def _ask(self, number: int) -> None:
        before, now = self._of_trial.get(number, NoHours()), self._hours(number)
        self._of_trial[number] = now
        self._cpu_hours += now.cpu_hours - before.cpu_hours
        self._gpu_hours += now.gpu_hours - before.gpu_hours
        self._held += now.held - before.held

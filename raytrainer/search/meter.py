"""What a study has taken so far, counted on as its trials report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raytrainer.config.space import Budget
from raytrainer.search.budget import Hours, Left, Taken, epochs_of
from raytrainer.search.views import TrialView

Write = Callable[[float], None]
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


class Meter:
    """Counts. A trial is asked for its hours when it reports or ends, and only if the budget bounds any.

    Args:
        budget: what is bounded.
        views: trials so far.
        seconds: that earlier drivers have spent on the study.
        hours: of a trial.
        write: takes the seconds that drivers have spent by now, for the next one.
    """

    def __init__(
        self, budget: Budget, views: Sequence[TrialView], seconds: float, hours: HoursOf, write: Write = nowhere
    ) -> None:
        self._budget, self._hours, self._write = budget, hours, write
        self._timed = bool(budget.given.keys() - {"epochs"})
        self._before, self._opened = seconds, time.monotonic()
        self._written = self._opened
        self._of_trial: dict[int, Hours] = {}
        self._cpu_hours = self._gpu_hours = self._held = 0.0
        self.epochs = epochs_of(views)
        for view in views if self._timed else ():
            self._ask(view.number)

    def reported(self, number: int) -> None:
        """A trial has reported an epoch."""
        self.epochs += 1
        self.paused(number)
        if self._budget.wall is not None and time.monotonic() - self._written >= WRITTEN_EVERY:
            self.write()

    def paused(self, number: int) -> None:
        """A trial has paused."""
        if self._timed:
            self._ask(number)

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
        return Taken(self.epochs, self.seconds / 3600, self._gpu_hours, self._cpu_hours, self._held)

    @property
    def left(self) -> Left:
        """What is left of the budget now."""
        return Left.of(self._budget, self.taken)

    def _ask(self, number: int) -> None:
        before, now = self._of_trial.get(number, NoHours()), self._hours(number)
        self._of_trial[number] = now
        self._cpu_hours += now.cpu_hours - before.cpu_hours
        self._gpu_hours += now.gpu_hours - before.gpu_hours
        self._held += now.held - before.held

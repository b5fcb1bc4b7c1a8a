"""What a study has taken so far, counted on as its trials report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raytrainer.config.space import Budget
from raytrainer.search.budget import Hours, Left, Taken, epochs_of
from raytrainer.search.views import TrialView

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


class Meter:
    """Counts. A trial is asked for its hours when it reports, and only if the budget bounds any.

    Args:
        budget: what is bounded.
        views: trials so far.
        seconds: that earlier drivers have spent on the study.
        hours: of a trial.
    """

    def __init__(self, budget: Budget, views: Sequence[TrialView], seconds: float, hours: HoursOf) -> None:
        self._budget, self._hours = budget, hours
        self._timed = bool(budget.given.keys() - {"epochs"})
        self._before, self._opened = seconds, time.monotonic()
        self._of_trial: dict[int, Hours] = {}
        self._cpu_hours = self._gpu_hours = self._held = 0.0
        self.epochs = epochs_of(views)
        for view in views if self._timed else ():
            self._ask(view.number)

    def heard(self, number: int) -> None:
        """A trial has reported an epoch."""
        self.epochs += 1
        if self._timed:
            self._ask(number)

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

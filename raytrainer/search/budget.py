"""How much a study may take, what it has taken, and how many epochs the rest is good for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from raytrainer.config.space import Budget
from raytrainer.search.views import TrialView

UNITS = {"epochs": "epochs", "gpu_hours": "GPU-hours", "cpu_hours": "CPU-hours", "wall": "hours"}
"""Parts of a budget, each with what it is counted in."""
ROUNDING = 1e-9
"""Share of a trial that sums of hours may be off by."""


class Hours(Protocol):
    """What one trial has taken of the cluster."""

    @property
    def cpu_hours(self) -> float:
        """CPUs that it reserves times hours."""

    @property
    def gpu_hours(self) -> float:
        """GPUs likewise."""

    @property
    def held(self) -> float:
        """Seconds."""


@dataclass(frozen=True)
class Taken:
    """What a study has taken; the fields that are parts of a budget have their names."""

    epochs: int = 0
    """Reported, over all trials."""
    wall: float = 0.0
    """Hours that drivers have spent on it."""
    gpu_hours: float = 0.0
    cpu_hours: float = 0.0
    held: float = 0.0
    """Seconds that its trials took, one beside the other counted twice."""
    starts: int = 0
    """How often one began or went on, as far as was noted (see `meter.STARTS`)."""
    starting: float = 0.0
    """Seconds of `held` until they trained; 0 as long as every epoch was the first after a start."""

    @property
    def start(self) -> float:
        """Seconds of one start."""
        return self.starting / self.starts if self.starts else 0.0

    @property
    def measured(self) -> float:
        """Epochs that followed another one, whose time was that of no start; infinite if no starts were noted."""
        return self.epochs - self.starts if self.starts else math.inf


NOTHING = Taken()


@dataclass(frozen=True)
class Left:
    """What is left of a budget, in epochs at the cost of those so far; infinite where nothing bounds them, or where
    nothing is known of their cost."""

    together: float = math.inf
    """For all trials together, by what they reserve."""
    each: float = math.inf
    """For a trial alone, until the time is up."""
    clock: float = math.inf
    """For all trials together, until the time is up."""
    epochs: float = math.inf
    """For all trials together, of a budget of epochs, of which a start takes nothing."""
    start: float = 0.0
    """What it takes of the others to begin a trial, or to go on with one that was paused."""
    measured: float = math.inf
    """Epochs that say what one takes; below 1 nobody knows how much of it is a start."""

    @classmethod
    def of(cls, budget: Budget, taken: Taken) -> Left:
        """After so much was taken: starts times what one takes, and epochs likewise. Until an epoch has followed
        another, and in a study that noted no starts, they are part of what an epoch takes."""
        trained = 1 - taken.starting / taken.held if taken.held else 1.0
        hours = {name: bound for name, bound in budget.given.items() if name != "epochs"}
        lasts = {name: _lasts(bound, getattr(taken, name), taken.epochs, trained) for name, bound in hours.items()}
        clock = lasts.pop("wall", math.inf)
        at_once = taken.held / 3600 / taken.wall if taken.held and taken.wall else 1.0
        epochs = math.inf if budget.epochs is None else max(0, budget.epochs - taken.epochs)
        start = taken.start * taken.epochs / (taken.held * trained) if taken.starting else 0.0
        return cls(min(lasts.values(), default=math.inf), clock / at_once, clock, epochs, start, taken.measured)

    def after(self, epochs: float, starts: int) -> Left:
        """Once trials that share it have done so much."""
        together = self.together - epochs - starts * self.start
        return replace(self, together=together, epochs=self.epochs - epochs)

    def trials(self, epochs: int, starts: int = 1, *, at_best: bool = False) -> float:
        """For how many trials of so many epochs there is room, one after another; infinite without a bound. `at_best`
        is if all but the first of their epochs took nothing."""
        dear = (1 if at_best else epochs) + starts * self.start
        count = min(_times(self.together, dear), _times(self.each, dear), _times(self.epochs, epochs))
        return count if math.isinf(count) else math.floor(count + ROUNDING)

    @property
    def in_all(self) -> float:
        """Epochs for all trials together, if none had to start."""
        return min(self.together, self.clock, self.epochs)


def _times(left: float, taken: float) -> float:
    """How often so much can be taken."""
    return left / taken if taken else math.inf


def _lasts(bound: float, used: float, epochs: int, trained: float) -> float:
    if used >= bound:
        return 0.0
    return (bound - used) * epochs / (used * trained) if used and epochs else math.inf


@dataclass(frozen=True)
class Standing:
    """How a study stands to its end."""

    over: bool = False
    """Whether nothing is left to train, unless more is asked for."""
    spent: str | None = None
    """The budget that is spent, in words, if a larger one would go on."""
    left: float = math.inf
    """Epochs that are left for all trials together, at the cost of those so far; infinite without a budget."""
    to_come: float = math.inf
    """New trials that there is room for, each of full length."""
    taken: Taken = NOTHING
    enough: str | None = None
    """Why no trial is begun any more though there is room, in words."""
    waiting: int | None = None
    """The paused trial that would go on if there was room for it, when none is begun any more."""


def in_words(budget: Budget, taken: Taken) -> str:
    """The part of a budget that is spent most: `200 epochs`, or `1.93 of 2 GPU-hours`."""
    name, bound = max(budget.given.items(), key=lambda part: getattr(taken, part[0]) / part[1])
    used = getattr(taken, name)
    return f"{'' if used >= bound else f'{used:.4g} of '}{bound:.10g} {UNITS[name]}"


def without_epochs(views: Iterable[TrialView]) -> int:
    """Trials that have ended before their first epoch."""
    return sum(view.state in ("failed", "pruned") and not view.values for view in views)


def epochs_of(views: Iterable[TrialView]) -> int:
    """Epochs that trials have reported."""
    return sum(len(view.values) for view in views)

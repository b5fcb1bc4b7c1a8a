"""How much a study may take, what it has taken, and how many epochs the rest is good for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from raytrainer.config.space import Budget
from raytrainer.search.views import TrialView

UNITS = {"epochs": "epochs", "gpu_hours": "GPU-hours", "cpu_hours": "CPU-hours", "wall": "hours"}
"""Parts of a budget, each with what it is counted in."""


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


NOTHING = Taken()


@dataclass(frozen=True)
class Left:
    """What is left of a budget, in epochs at the cost of those so far; infinite where nothing bounds them, or where
    nothing is known of their cost."""

    together: float = math.inf
    """For all trials together."""
    each: float = math.inf
    """For a trial alone, until the time is up."""
    clock: float = math.inf
    """For all trials together, until the time is up."""

    @classmethod
    def of(cls, budget: Budget, taken: Taken) -> Left:
        """After so much was taken. What trials reserve is divided by epochs, so that starting them is part of it."""
        lasts = {name: _lasts(bound, getattr(taken, name), taken.epochs) for name, bound in budget.given.items()}
        if budget.epochs is not None:
            lasts["epochs"] = max(0, budget.epochs - taken.epochs)
        clock = lasts.pop("wall", math.inf)
        at_once = taken.held / 3600 / taken.wall if taken.held and taken.wall else 1.0
        return cls(min(lasts.values(), default=math.inf), clock / at_once, clock)


def _lasts(bound: float, used: float, epochs: int) -> float:
    if used >= bound:
        return 0.0
    return (bound - used) * epochs / used if used and epochs else math.inf


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

"""What trials were worth by epoch, at the few epochs that are looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from raytrainer.search.epoch_notes import violations_of

Array = NDArray[np.float64]
Index = NDArray[np.int64]

RATIO = 3.0
"""Between two epochs at which curves are looked at."""


@dataclass(frozen=True)
class Curves:
    """n rows, each what one trial was worth after one epoch; by trial, and of each by epoch."""

    owner: Index
    """Index of the trial."""
    epoch: Index
    value: Array
    """(n,), or (n, m) where m things are told of an epoch."""

    @classmethod
    def of(cls, by_trial: Sequence[Mapping[int, Any]]) -> Curves:
        """From what each trial has by epoch, all of it finite or not: a number, or as many numbers in each epoch."""
        owner = np.repeat(np.arange(len(by_trial)), [len(curve) for curve in by_trial])
        epoch = np.fromiter(chain.from_iterable(by_trial), np.int64, len(owner))
        value = np.array(list(chain.from_iterable(curve.values() for curve in by_trial)), dtype=float)
        curves = cls(owner, epoch, value)
        ordered = np.all((np.diff(owner) > 0) | (np.diff(epoch) > 0))
        return curves if ordered else curves[np.lexsort((epoch, owner))]

    def finite(self) -> Curves:
        """Those rows of which everything is."""
        finite = np.asarray(np.isfinite(self.value).all(tuple(range(1, self.value.ndim))))
        return self if finite.all() else self[finite]

    def best_by_then(self, worth: Array, full: int) -> Curves:
        """At the epochs that are looked at, what each trial had when it was best by then, at the last such epoch.

        Args:
            worth: (n,), finite: of these rows, larger is better.
            full: epochs of a full run.
        """
        if not len(self):
            return self
        looks = epochs_to_look_at(full)
        stretch = self.owner * (len(looks) + 1) + np.searchsorted(looks, self.epoch)
        end = np.flatnonzero(np.diff(stretch, append=-1))
        begin = np.append(0, end[:-1] + 1)
        highest = np.maximum.reduceat(worth, begin)
        row = np.arange(len(self))
        last_highest = np.maximum.reduceat(np.where(worth == np.repeat(highest, end - begin + 1), row, -1), begin)
        order = np.lexsort((highest, self.owner[end]))  # stable: of equals the later is the better one
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        best = last_highest[order[np.maximum.accumulate(rank)]]
        return Curves(self.owner[end], self.epoch[end], self.value[best])

    def ends(self) -> Index:
        """The last row of each trial that has any, ascending."""
        return np.flatnonzero(np.diff(self.owner, append=-1))

    def has(self, trials: int) -> NDArray[np.bool_]:
        """For each of so many trials, whether there is anything of it."""
        has: NDArray[np.bool_] = np.bincount(self.owner, minlength=trials) > 0
        return has

    def __getitem__(self, index: NDArray[Any]) -> Curves:
        return Curves(self.owner[index], self.epoch[index], self.value[index])

    def __len__(self) -> int:
        return len(self.owner)


def curves_of(trials: Sequence[FrozenTrial], sign: float, full: int) -> Curves:
    """Best value so far by epoch, larger is better, and of a complete trial at its last one what it is worth.

    In plain Optuna that need not be the best of its curve. Where constraints are known by epoch, it is of the best one
    that keeps them, which are modelled by themselves. What a trial without a curve is worth is at `full`; nothing is
    known of a failed one.
    """
    seen = Curves.of([_values(trial) for trial in trials]).finite()
    curves = seen.best_by_then(sign * seen.value, full)
    value, ends, worth = sign * curves.value, curves.ends(), sign * np.array([_worth(trial) for trial in trials])
    told = np.array([trial.state == TrialState.COMPLETE and not violations_of(trial) for trial in trials], dtype=bool)
    told = ends[(told & np.isfinite(worth))[curves.owner[ends]]]
    value[told] = worth[curves.owner[told]]
    alone = np.flatnonzero(np.isfinite(worth) & ~curves.has(len(trials)))
    at = np.searchsorted(curves.owner, alone)
    owner, epoch = np.insert(curves.owner, at, alone), np.insert(curves.epoch, at, full)
    return Curves(owner, epoch, np.insert(value, at, worth[alone]))


def _values(trial: FrozenTrial) -> Mapping[int, float]:
    return {} if trial.state == TrialState.FAIL else trial.intermediate_values


def _worth(trial: FrozenTrial) -> float:
    """NaN where nothing is told."""
    return float(trial.values[0]) if trial.values and trial.state != TrialState.FAIL else math.nan


@cache
def epochs_to_look_at(full: int) -> tuple[int, ...]:
    """Epochs in geometric progression, ascending, the last one that of a full run."""
    epochs = [full]
    while epochs[-1] > 1:
        epochs.append(max(1, min(epochs[-1] - 1, round(epochs[-1] / RATIO))))
    return tuple(reversed(epochs))

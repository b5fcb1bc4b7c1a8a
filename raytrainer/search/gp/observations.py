"""What a study has seen, as the rows that the process is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri
from scipy.stats import rankdata

from raytrainer.search.epoch_notes import told
from raytrainer.search.gp.curves import Curves, curves_of
from raytrainer.search.gp.failures import furthest_apart, noise_of

Array = NDArray[np.float64]
Index = NDArray[np.int64]

MOST = 150
"""Rows, at most: the cost of a suggestion stays the same from there on."""
MOST_FAILURES = 30
"""Of these, rows of failures, where curves would fill the others: with more, much that is good is kept away from."""


@dataclass(frozen=True)
class Observations:
    """n rows, each one trial at one epoch."""

    owner: Index
    """Index of the trial."""
    fidelity: Array
    """1 for a full run, 0 for none: the logarithm of the epoch."""
    score: Array
    """Normal quantile of the value's rank among all, about -2 to 2; larger is better."""
    extra_noise: Array
    """Variance that a score has beyond what all have."""
    value: Array
    """What was reported, larger is better; of a failure, the worst of all."""

    def value_at(self, score: float) -> float:
        """The value whose score would be about this, within what was seen."""
        order = np.argsort(self.score, kind="stable")
        return float(np.interp(score, self.score[order], self.value[order]))

    def beyond(self, scores: Array) -> Array:
        """The same for many, which go on beyond the best that was seen as steeply as over the last unit before it."""
        top, order = float(self.score.max()), np.argsort(self.score, kind="stable")
        slope = self.value_at(top) - self.value_at(top - 1.0)
        within: Array = np.interp(scores, self.score[order], self.value[order])
        return within + slope * np.maximum(scores - top, 0.0)

    def __len__(self) -> int:
        return len(self.owner)

    def thinned(self, most: int, best: int) -> Observations:
        """At most so many of the rows, so many of them the best; see `most_telling`."""
        index = most_telling(self.score, most, best)
        return Observations(
            self.owner[index], self.fidelity[index], self.score[index], self.extra_noise[index], self.value[index]
        )

    def and_failed(self, owner: Index, noise: Array) -> Observations:
        """With trials that failed behind them, full runs that are as bad as the worst, with their extra noise."""
        one = np.ones(len(owner))
        return Observations(
            owner=np.concatenate([self.owner, owner]),
            fidelity=np.concatenate([self.fidelity, one]),
            score=np.concatenate([self.score, self.score.min(initial=0.0) * one]),
            extra_noise=np.concatenate([self.extra_noise, noise]),
            value=np.concatenate([self.value, (self.value.min() if len(self) else 0.0) * one]),
        )


def observe(
    trials: Sequence[FrozenTrial],
    sign: float,
    full: int,
    curves: Curves | None = None,
    inputs: Array | None = None,
) -> Observations:
    """The rows of a study, `MOST` at most; none before the first value or failure.

    A curve is looked at at a few epochs in geometric progression and at its last one, as the best value so far, or at
    the last one of a complete trial as its value. A trial that failed, or ended without a finite value, is one row, as
    bad as the worst of all.

    Args:
        trials: finished and running ones.
        sign: 1 if larger values are better, -1 if smaller ones are.
        full: epochs of a full run.
        curves: the values to take in place of the trials' own, larger is better; see `chebyshev.scalarised`.
        inputs: of the kernel, (n, columns), for the trials, by which failures are told apart; None if all of them are
            at one place.
    """
    curves = curves_of(trials, sign, full) if curves is None else curves
    seen, has = rows_of(curves, full), curves.has(len(trials))
    failed = [owner for owner, trial in enumerate(trials) if not has[owner] and _failed(trial)]
    if not failed:
        return seen.thinned(MOST, MOST // 2)
    inputs = np.zeros((len(trials), 1)) if inputs is None else inputs
    kept = np.array(failed)[furthest_apart(inputs[failed], max(MOST_FAILURES, MOST - len(seen)))]
    noise = noise_of(inputs[kept], inputs[failed], inputs[np.unique(seen.owner)])
    return seen.thinned(MOST - len(kept), MOST // 2).and_failed(kept, noise)


def rows_of(curves: Curves, full: int) -> Observations:
    """All rows of trials, from what each was worth by epoch, a number, larger is better."""
    return Observations(
        owner=curves.owner,
        fidelity=fidelity(curves.epoch, full),
        score=normal_scores(curves.value),
        extra_noise=np.zeros(len(curves)),
        value=curves.value,
    )


def _failed(trial: FrozenTrial) -> bool:
    """Not one that was ended before its first epoch for a constraint that it violates: it says nothing of fitness."""
    return trial.state == TrialState.FAIL or (trial.state.is_finished() and not told(trial))


def longest(trials: Sequence[FrozenTrial]) -> int:
    """The last epoch of the longest curve, 0 if nothing was reported after step 0; 1 without any curve."""
    return max((max(trial.intermediate_values) for trial in trials if trial.intermediate_values), default=1)


def fidelity(epochs: Index, full: int) -> Array:
    """Place of epochs between 0 and a full run, on a logarithmic scale, 0 to 1; step 0 may be a full run."""
    if full == 0:
        return np.ones(len(epochs))
    places: Array = np.minimum(np.log1p(np.maximum(epochs, 0)) / np.log1p(full), 1.0)
    return places


def normal_scores(values: Array) -> Array:
    """Pooled ranks through the normal quantile; equal values have equal scores."""
    return np.asarray(ndtri((rankdata(values) - 0.5) / max(1, len(values))))


def most_telling(score: Array, most: int, best: int) -> Index:
    """Indices of at most so many rows, ascending: so many the best, the rest evenly over the others."""
    if len(score) <= most:
        return np.arange(len(score))
    top, others = np.split(np.argsort(-score, kind="stable"), [best])
    spread = np.linspace(0, len(others) - 1, most - best).round().astype(int)
    return np.sort(np.concatenate([top, others[spread]]))

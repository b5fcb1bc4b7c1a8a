"""What a study has seen, as the rows that the process is fitted on."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri
from scipy.stats import rankdata

from raytrainer.search.epoch_notes import told
from raytrainer.search.gp.failures import furthest_apart, noise_of

Array = NDArray[np.float64]
Index = NDArray[np.int64]

MOST = 150
"""Rows, at most: the cost of a suggestion stays the same from there on."""
MOST_FAILURES = 30
"""Of these, rows of failures, where curves would fill the others: with more, much that is good is kept away from."""
RATIO = 3.0
"""Between two epochs at which curves are looked at."""


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

    def chosen(self, index: Index) -> Observations:
        """Some of the rows."""
        return Observations(
            self.owner[index], self.fidelity[index], self.score[index], self.extra_noise[index], self.value[index]
        )


def observe(
    trials: Sequence[FrozenTrial],
    sign: float,
    full: int,
    curves: Sequence[Mapping[int, float]] | None = None,
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
        curves: the values to take in place of the trials' own, of each one by epoch, larger is better; see
            `chebyshev.scalarised`.
        inputs: of the kernel, (n, columns), for the trials, by which failures are told apart; None if all of them are
            at one place.
    """
    if curves is None:
        curves = [_curve(trial, sign, full) for trial in trials]
    inputs = np.zeros((len(trials), 1)) if inputs is None else inputs
    rows = [(owner, epoch, value) for owner, curve in enumerate(curves) for epoch, value in curve.items()]
    failed = [owner for owner, trial in enumerate(trials) if not curves[owner] and _failed(trial)]
    values, worth = np.array([value for _, _, value in rows]), [owner for owner, curve in enumerate(curves) if curve]
    score, failures = normal_scores(values), np.ones(len(failed))
    every = Observations(
        owner=np.array([owner for owner, _, _ in rows] + failed, dtype=np.int64),
        fidelity=fidelity(np.array([epoch for _, epoch, _ in rows] + [full] * len(failed)), full),
        score=np.concatenate([score, score.min(initial=0.0) * failures]),
        extra_noise=np.concatenate([np.zeros(len(rows)), noise_of(inputs[failed], inputs[worth])]),
        value=np.concatenate([values, (values.min() if len(values) else 0.0) * failures]),
    )
    telling = furthest_apart(inputs[failed], max(MOST_FAILURES, MOST - len(rows)))
    return every.chosen(np.concatenate([most_telling(score, MOST - len(telling), MOST // 2), telling + len(rows)]))


def _failed(trial: FrozenTrial) -> bool:
    """Not one that was ended before its first epoch for a constraint that it violates: it says nothing of fitness."""
    return trial.state == TrialState.FAIL or (trial.state.is_finished() and not told(trial))


def longest(trials: Sequence[FrozenTrial]) -> int:
    """The last epoch of the longest curve, 0 if nothing was reported after step 0; 1 without any curve."""
    return max((max(trial.intermediate_values) for trial in trials if trial.intermediate_values), default=1)


def epochs_to_look_at(full: int) -> list[int]:
    """Epochs in geometric progression, ascending, the last one that of a full run."""
    epochs = [full]
    while epochs[-1] > 1:
        epochs.append(max(1, min(epochs[-1] - 1, round(epochs[-1] / RATIO))))
    return epochs[::-1]


def fidelity(epochs: Array, full: int) -> Array:
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


def _curve(trial: FrozenTrial, sign: float, full: int) -> Mapping[int, float]:
    """Best value so far by epoch, and of a complete trial at its last one what it was told to be worth.

    In plain Optuna that need not be the best of its curve. What a trial without one is worth is at `full`.
    """
    if trial.state == TrialState.FAIL:
        return {}
    seen = {at: value for at, value in trial.intermediate_values.items() if math.isfinite(value)}
    curve = {at: sign * seen[best] for at, best in best_by_then(seen, sign, full).items()}
    worth = trial.values[0] if trial.values else math.nan
    if math.isfinite(worth) and (not curve or trial.state == TrialState.COMPLETE):
        curve[max(curve, default=full)] = sign * worth
    return curve


def best_by_then(values: Mapping[int, float], sign: float, full: int) -> dict[int, int]:
    """Of a curve of finite values, the epochs that are looked at, and for each the last of the best ones up to it."""
    epochs = sorted(values)

    def better(before: int, at: int) -> int:
        return at if sign * values[at] >= sign * values[before] else before

    best = list(accumulate(epochs, better))
    looked_at = {bisect_right(epochs, level) - 1 for level in epochs_to_look_at(full)} | {len(epochs) - 1}
    return {epochs[place]: best[place] for place in sorted(looked_at) if place >= 0}

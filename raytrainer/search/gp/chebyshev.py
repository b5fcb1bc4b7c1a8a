"""Several objectives as one value, weighted anew for every suggestion, so that suggestions spread along the front.

Knowles, ParEGO: A Hybrid Algorithm with On-Line Landscape Approximation for Expensive Multiobjective Optimization
Problems, IEEE TEVC 10(1), 2006.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from raytrainer.search.epoch_notes import others_of

Array = NDArray[np.float64]

AUGMENTED = 0.05
"""Weight of the sum beside the maximum, by which what is beaten in every objective is worth less (rho of the paper)."""
ALONE = 0
"""In place of an epoch, for values that are of none: epochs count from 1."""


def weights_of(seed: int, number: int, objectives: int) -> Array:
    """Weights of a suggestion, (m,), drawn evenly from all that add up to 1."""
    weights: Array = np.random.default_rng([seed, number, objectives]).dirichlet(np.ones(objectives))
    return weights


def scalarised(trials: Sequence[FrozenTrial], signs: Sequence[float], weights: Array) -> list[FrozenTrial]:
    """Stand-ins for trials of several objectives with one value each, and at each epoch, larger is better.

    Of every objective it counts by how much of its range it is below the best, the range of the trials' own values.
    That is the augmented Chebyshev function; whatever the front looks like, each of its points is the best for some
    weights.

    Args:
        trials: with a curve, whose other objectives are in the notes of its epochs, or with values alone.
        signs: of each objective, 1 if larger values are better, -1 if smaller ones are.
        weights: of each objective.
    """
    curves = [{epoch: np.array(signs) * vector for epoch, vector in _vectors(trial).items()} for trial in trials]
    ended = [curve[max(curve, key=lambda epoch: (curve[epoch][0], epoch))] for curve in curves if curve]
    if not ended:
        return list(trials)
    best, worst = np.max(ended, axis=0), np.min(ended, axis=0)
    ranges = np.where(best > worst, best / 2 - worst / 2, 1.0)

    def value(vector: Array) -> float:
        lost = weights * ((best / 2 - vector / 2) / ranges)
        return float(0.0 - lost.max() - AUGMENTED * lost.sum())

    pairs = zip(trials, curves, strict=True)
    return [_with(trial, {at: value(each) for at, each in curve.items()}) for trial, curve in pairs]


def _vectors(trial: FrozenTrial) -> dict[int, Array]:
    """All objectives by epoch; those of a trial without a curve, such as one of plain Optuna, at `ALONE`.

    None of a failed one, which counts as bad as it is (see `observe`).
    """
    if trial.state == TrialState.FAIL:
        return {}
    others = others_of(trial)
    curve = {at: np.array([value, *others[at]]) for at, value in trial.intermediate_values.items() if at in others}
    finite = {at: vector for at, vector in curve.items() if np.isfinite(vector).all()}
    if finite or not trial.values or not np.isfinite(trial.values).all():
        return finite
    return {ALONE: np.array(trial.values)}


def _with(trial: FrozenTrial, curve: dict[int, float]) -> FrozenTrial:
    stand_in = copy.copy(trial)
    stand_in.values = [curve[ALONE]] if ALONE in curve else None
    stand_in.intermediate_values = {at: value for at, value in curve.items() if at != ALONE}
    return stand_in

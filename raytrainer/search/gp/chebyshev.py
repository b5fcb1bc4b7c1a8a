"""Several objectives as one value, weighted anew for every suggestion, so that suggestions spread along the front.

Knowles, ParEGO: A Hybrid Algorithm with On-Line Landscape Approximation for Expensive Multiobjective Optimization
Problems, IEEE TEVC 10(1), 2006.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from raytrainer.search.epoch_notes import others_of
from raytrainer.search.gp.curves import Curves

Array = NDArray[np.float64]

AUGMENTED = 0.05
"""Weight of the sum beside the maximum, by which what is beaten in every objective is worth less (rho of the paper)."""


def weights_of(seed: int, number: int, objectives: int) -> Array:
    """Weights of a suggestion, (m,), drawn evenly from all that add up to 1."""
    weights: Array = np.random.default_rng([seed, number, objectives]).dirichlet(np.ones(objectives))
    return weights


def scalarised(trials: Sequence[FrozenTrial], signs: Sequence[float], weights: Array, full: int) -> Curves:
    """One value for all objectives of each trial, by epoch, at the epochs that `observe` looks at; larger is better.

    At an epoch it is that of the objectives at the best epoch by then, which is the first objective's: those that the
    trial would have if it ended there. Every objective counts by how much of its range it is below the best, and the
    range is that of the trials that came furthest, since a first epoch says little of the end. That is the augmented
    Chebyshev function; whatever the front looks like, each of its points is the best for some weights.

    Args:
        trials: with a curve, whose other objectives are in the notes of its epochs, or with values alone.
        signs: of each objective, 1 if larger values are better, -1 if smaller ones are.
        weights: of each objective.
        full: epochs of a full run.
    """
    upwards = np.array(signs)
    seen = Curves.of([_vectors(trial, full) for trial in trials]).finite()
    if not len(seen):
        return Curves(seen.owner, seen.epoch, np.empty(0))
    curves = seen.best_by_then(upwards[0] * seen.value[:, 0], full)
    ends = curves[curves.ends()]
    best, ranges = _scale(upwards * ends.value, upwards * ends.value[ends.epoch == ends.epoch.max()])
    lost = weights * ((best / 2 - upwards * curves.value / 2) / ranges)
    return Curves(curves.owner, curves.epoch, 0.0 - lost.max(1) - AUGMENTED * lost.sum(1))


def _scale(ends: Array, furthest: Array) -> tuple[Array, Array]:
    """The best of each objective, and half its range: the difference of two floats may not be one."""
    of_all, of_furthest = (np.max(some, axis=0) / 2 - np.min(some, axis=0) / 2 for some in (ends, furthest))
    ranges = np.where(of_furthest > 0, of_furthest, np.where(of_all > 0, of_all, 1.0))
    return np.max(ends, axis=0), ranges


def _vectors(trial: FrozenTrial, full: int) -> Mapping[int, Sequence[float]]:
    """All objectives by epoch; those of a trial without a finite curve, such as one of plain Optuna, at `full`.

    None of a failed one, which counts as bad as it is (see `observe`).
    """
    if trial.state == TrialState.FAIL:
        return {}
    others = others_of(trial)
    seen = {at: (value, *others[at]) for at, value in trial.intermediate_values.items() if at in others}
    if any(math.isfinite(sum(vector)) for vector in seen.values()) or not trial.values:
        return seen
    return {full: trial.values}

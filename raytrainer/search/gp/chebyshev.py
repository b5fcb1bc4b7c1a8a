"""Several objectives as one value, weighted anew for every suggestion, so that suggestions spread along the front.

Knowles, ParEGO: A Hybrid Algorithm with On-Line Landscape Approximation for Expensive Multiobjective Optimization
Problems, IEEE TEVC 10(1), 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from raytrainer.search.epoch_notes import others_of
from raytrainer.search.gp.curves import best_by_then, finite

Array = NDArray[np.float64]

AUGMENTED = 0.05
"""Weight of the sum beside the maximum, by which what is beaten in every objective is worth less (rho of the paper)."""


def weights_of(seed: int, number: int, objectives: int) -> Array:
    """Weights of a suggestion, (m,), drawn evenly from all that add up to 1."""
    weights: Array = np.random.default_rng([seed, number, objectives]).dirichlet(np.ones(objectives))
    return weights


def scalarised(
    trials: Sequence[FrozenTrial], signs: Sequence[float], weights: Array, full: int
) -> list[dict[int, float]]:
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
    curves = [_vectors(trial, np.array(signs), full) for trial in trials]
    ends = [(max(curve), curve[max(curve)]) for curve in curves if curve]
    if not ends:
        return [{} for _ in trials]
    furthest = max(epoch for epoch, _ in ends)
    best, ranges = _scale([end for _, end in ends], [end for epoch, end in ends if epoch == furthest])

    lost = weights * ((best / 2 - np.array([vector for curve in curves for vector in curve.values()]) / 2) / ranges)
    values = iter((0.0 - lost.max(1) - AUGMENTED * lost.sum(1)).tolist())
    return [{at: next(values) for at in curve} for curve in curves]


def _scale(ends: Sequence[Array], furthest: Sequence[Array]) -> tuple[Array, Array]:
    """The best of each objective, and half its range: the difference of two floats may not be one."""
    of_all, of_furthest = (np.max(some, axis=0) / 2 - np.min(some, axis=0) / 2 for some in (ends, furthest))
    ranges = np.where(of_furthest > 0, of_furthest, np.where(of_all > 0, of_all, 1.0))
    return np.max(ends, axis=0), ranges


def _vectors(trial: FrozenTrial, signs: Array, full: int) -> dict[int, Array]:
    """All objectives by epoch; those of a trial without a curve, such as one of plain Optuna, at `full`.

    None of a failed one, which counts as bad as it is (see `observe`).
    """
    if trial.state == TrialState.FAIL:
        return {}
    others, values = others_of(trial), trial.intermediate_values
    seen = {at: value for at, value in finite(values).items() if all(map(math.isfinite, others.get(at, [math.nan])))}
    if seen:
        return {at: signs * [seen[then], *others[then]] for at, then in best_by_then(seen, signs[0], full).items()}
    told = np.array(trial.values or [np.nan])
    return {full: signs * told} if np.isfinite(told).all() else {}

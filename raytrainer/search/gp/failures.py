"""Trials that failed: how much each says of its place, and which to keep where there are many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

NOISE = 1.0
"""Variance of a failure's score: one among good trials may be chance, several at one place are not."""
BESIDE = 0.3
"""Distance in the kernel's inputs, in which a range is 1 long, at which two trials have much less to say of another."""


def noise_of(some: Array, failed: Array, others: Array) -> Array:
    """Variances of the scores of failures, (n,): `NOISE` times how many trials there are for each one that failed.

    Counted beside each, the nearer the more. What crashes at random, wherever it is, so does not keep the model from
    the best place known, where most trials are.

    Args:
        some: kernel's inputs of the failures that are asked for, (n, columns).
        failed: of all failures, these among them.
        others: of the trials that have values.
    """
    noise: Array = NOISE * (1 + _beside(some, others) / _beside(some, failed))
    return noise


def furthest_apart(points: Array, most: int) -> Index:
    """Indices, ascending, of so many points, (n, columns), at least 1: the last, then what is furthest from those."""
    if len(points) <= most:
        return np.arange(len(points))
    chosen, gaps = [len(points) - 1], _squared(points, points[-1:])[:, 0]
    while len(chosen) < most:
        chosen.append(int(gaps.argmax()))
        gaps = np.minimum(gaps, _squared(points, points[chosen[-1:]])[:, 0])
    return np.sort(np.array(chosen))


def _beside(some: Array, all_: Array) -> Array:
    near: Array = np.exp(-_squared(some, all_) / (2 * BESIDE**2)).sum(1)
    return near


def _squared(left: Array, right: Array) -> Array:
    squared: Array = (left * left).sum(1)[:, None] + (right * right).sum(1) - 2 * left @ right.T
    return np.maximum(squared, 0.0)

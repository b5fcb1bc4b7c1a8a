"""The search for the point that promises most."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ANYWHERE = 500
"""Candidates drawn from the whole space."""
NEAR = 100
"""Candidates around each of the best points known."""
ELITES = 3
WIDTHS = (0.15, 0.1, 0.03, 0.01)
"""Standard deviation of a mutation, round by round."""
AT_LEAST = 0.4
"""Chance of a coordinate to be changed; higher where there are few."""


def propose(
    promise: Callable[[Array], Array],
    known: Array,
    categorical: Sequence[bool],
    snap: Callable[[Array], Array],
    rng: np.random.Generator,
) -> Array:
    """The point, (d,), of the highest promise found: anywhere, around what is known, and around the best of those.

    The best points known are candidates themselves.

    Args:
        promise: of points, (n, d); it may take coordinates out of them, in place, by setting them to NaN.
        known: (k, d) points to begin with, the best first.
        categorical: for each coordinate, whether neighbours are no more alike than others.
        snap: to points that stand for a configuration.
        rng: all randomness.
    """
    points = np.concatenate([known[:ELITES], rng.random((ANYWHERE, len(categorical)))])
    elites, found, promises = known[:ELITES], np.empty((0, len(categorical))), np.empty(0)
    for width in WIDTHS:
        near = [_mutate(elite, width, categorical, rng) for elite in elites]
        points = snap(np.concatenate([points, *near]))
        promises = np.concatenate([promises, promise(points)])
        found = np.concatenate([found, points])
        elites = found[np.argsort(-promises, kind="stable")[:ELITES]]
        points = np.empty((0, len(categorical)))
    best: Array = found[np.argmax(promises)]
    return best


def scattered(known: Array, categorical: Sequence[bool], rng: np.random.Generator) -> Array:
    """Points, (n, d), anywhere and at every distance around the best ones known, which are the first of them."""
    near = [_mutate(elite, width, categorical, rng) for elite in known[:ELITES] for width in WIDTHS]
    return np.concatenate([known[:ELITES], rng.random((ANYWHERE, len(categorical))), *near])


def _mutate(point: Array, width: float, categorical: Sequence[bool], rng: np.random.Generator) -> Array:
    """`NEAR` points that differ from `point` in at least one coordinate; what it lacks is drawn anywhere."""
    shape = (NEAR, len(point))
    changed = rng.random(shape) < max(AT_LEAST, 1.5 / len(point))
    changed[np.arange(NEAR), rng.integers(len(point), size=NEAR)] = True
    moved = point + width * rng.standard_normal(shape)
    reflected = 1 - np.abs(1 - np.abs(moved))
    anywhere = rng.random(shape)
    other = np.where(np.array(categorical) | np.isnan(point), anywhere, np.clip(reflected, 0.0, 1.0))
    return np.where(changed | np.isnan(point), other, point)

"""Which parameters a configuration would have, learnt from the configurations that there were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Condition:
    """A parameter that is there only beside some values of another one, or of two."""

    child: int
    without: Mapping[int, Array]
    """By parent, its coordinates beside which the child was never there."""

    def apply(self, points: Array) -> None:
        """Takes the child's coordinate out, in place, where a parent's forbids it or is absent itself."""
        for parent, without in self.without.items():
            points[_forbidden(points[:, parent], without), self.child] = np.nan


def learn_conditions(points: Array, parents: Sequence[int]) -> list[Condition]:
    """A condition for each parameter that some configurations lack, where one or two others explain all of them.

    Args:
        points: (n, d) coordinates of the configurations seen, NaN where a parameter is absent.
        parents: coordinates that may explain it, the likeliest first.

    Returns:
        Parents before their children. A child without an explanation has no condition: it counts as always there.
    """
    lacking = np.isnan(points).sum(0)
    children = sorted(np.flatnonzero(lacking), key=lambda child: int(lacking[child]))
    found = (_explain(int(child), points, parents) for child in children)
    return [condition for condition in found if condition is not None]


def _explain(child: int, points: Array, parents: Sequence[int]) -> Condition | None:
    """The first parent, or else the first two, by which the child is absent wherever it is."""
    lacking = np.isnan(points[:, child])
    without, explained = {}, {}
    for parent in parents:
        beside = points[~lacking, parent]
        if parent != child and not np.isnan(beside).any():
            without[parent] = np.setdiff1d(points[~np.isnan(points[:, parent]), parent], beside)
            explained[parent] = _forbidden(points[lacking, parent], without[parent])
    for few in chain(combinations(explained, 1), combinations(explained, 2)):
        if np.any([explained[parent] for parent in few], axis=0).all():
            return Condition(child, {parent: without[parent] for parent in few})
    return None


def _forbidden(parents: Array, without: Array) -> NDArray[np.bool_]:
    """Where a parent's coordinate is one of those, or absent."""
    forbidden: NDArray[np.bool_] = np.isnan(parents) | np.isin(parents, without)
    return forbidden

"""Which parameters a configuration would have, learnt from the configurations that there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Condition:
    """A parameter that is there only beside some values of another one."""

    child: int
    parent: int
    without: Array
    """Coordinates of the parent beside which the child was never there."""

    def apply(self, points: Array) -> None:
        """Takes the child's coordinate out, in place, where the parent's forbids it or is absent itself."""
        parents = points[:, self.parent]
        points[np.isnan(parents) | np.isin(parents, self.without), self.child] = np.nan


def learn_conditions(points: Array, parents: Sequence[int]) -> list[Condition]:
    """A condition for each parameter that some configurations lack, where one other parameter explains all of them.

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
    here = np.isfinite(points[:, child])
    for parent in parents:
        known = np.isfinite(points[:, parent])
        beside = np.unique(points[here & known, parent])
        without = np.unique(points[known & np.logical_not(here), parent])
        alone = bool((here & np.logical_not(known)).any())
        if parent != child and not alone and not np.isin(beside, without).any():
            return Condition(child, parent, without)
    return None

"""Which parameters went along with fitness: rank correlation, with what chance alone would give beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from raytrainer.search.views import TrialView

FEWEST = 10
"""With fewer trials than this a rank correlation says nothing."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of a parameter with fitness over `n` completed trials."""

    parameter: str
    rho: float
    n: int

    @property
    def chance(self) -> float:
        """What two unrelated rankings stay under in 95 of 100 cases: 1.96 / sqrt(n - 1)."""
        return 1.96 / math.sqrt(self.n - 1)


def correlations(views: Sequence[TrialView]) -> list[Correlation]:
    """Numeric parameters by the size of their correlation; none with fewer than ten completed trials that have one.

    A search visits good regions more often, and parameters move together: this is a hint where to look, no effect.
    """
    complete = [view for view in views if view.state == "complete"]
    names = dict.fromkeys(name for view in complete for name in view.params)
    found = [each for name in names if (each := _correlation(name, complete)) is not None]
    return sorted(found, key=lambda each: -abs(each.rho))


def _correlation(name: str, views: Sequence[TrialView]) -> Correlation | None:
    pairs = [(view.params[name], view.best_fitness) for view in views if name in view.params]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value, _ in pairs)
    if not numeric or len(pairs) < FEWEST:
        return None
    ranks = pd.DataFrame(pairs, columns=["parameter", "fitness"], dtype=float).rank()
    rho = float(ranks.corr().loc["parameter", "fitness"])
    return None if math.isnan(rho) else Correlation(name, rho, len(pairs))

"""Constraints that no trial could keep, by themselves or beside each other, where they are about one metric each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from raytrainer.config.constraints import Constraint
from raytrainer.config.metric_names import MEASURED


@dataclass(frozen=True)
class _Range:
    """What a metric may be."""

    low: float
    high: float
    without_low: bool = False
    without_high: bool = False

    def under(self, constraint: Constraint) -> _Range:
        """What is left of it under a constraint."""
        bound, strict = constraint.bound, len(constraint.operator) == 1
        if constraint.operator.startswith("<"):
            high, without = min((self.high, not self.without_high), (bound, not strict))
            return _Range(self.low, high, self.without_low, not without)
        low, without = max((self.low, self.without_low), (bound, strict))
        return _Range(low, self.high, without, self.without_high)

    @property
    def empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.without_low or self.without_high))


Place = TypeVar("Place")


def never_kept(constraints: Iterable[tuple[Place, Constraint]]) -> Iterator[tuple[Place, str]]:
    """The place of each constraint that cannot be kept, and why; those before it on the same metric go before it.

    Args:
        constraints: each with its place.
    """
    ranges: dict[str, _Range] = {}
    before: dict[str, list[str]] = {}
    for place, constraint in constraints:
        name = _metric(constraint)
        if name is None:
            continue
        whole = _Range(0.0, math.inf if name in MEASURED else 1.0)
        left = ranges.get(name, whole).under(constraint)
        if whole.under(constraint).empty:
            bounds = "is never negative" if math.isinf(whole.high) else "is from 0 to 1"
            yield place, f"'{constraint.text}' is never kept: {name} {bounds}"
        elif left.empty:
            yield place, f"'{constraint.text}' is never kept beside '{' and '.join(before[name])}'"
        else:
            ranges[name] = left
            before.setdefault(name, []).append(constraint.text)


def _metric(constraint: Constraint) -> str | None:
    """The metric that stands alone before the comparison; None if that is anything else."""
    uses = constraint.left.uses
    name = uses[0].name if len(uses) == 1 and not uses[0].over_classes else None
    return name if name == constraint.left.text.strip() else None

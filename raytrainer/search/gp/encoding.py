"""Configurations as points of the unit cube, and points as the inputs of the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from raytrainer.search.gp.axis import Axis, axis_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """The coordinates of a search space, one a parameter, in the order of the mapping.

    A coordinate is NaN where a configuration does not have the parameter. Parameters of a single value have no place
    here.
    """

    distributions: Mapping[str, BaseDistribution]

    @cached_property
    def axes(self) -> list[Axis]:
        """One for each parameter."""
        return [axis_of(distribution) for distribution in self.distributions.values()]

    @property
    def dimensions(self) -> int:
        """Number of coordinates of a point."""
        return len(self.axes)

    @property
    def parents(self) -> list[int]:
        """Parameters of a few values, on which others may depend: categoricals, then integers and steps."""
        discrete = [index for index, axis in enumerate(self.axes) if axis.discrete]
        return sorted(discrete, key=lambda index: not self.axes[index].categorical)

    @cached_property
    def owners(self) -> list[int]:
        """For each column of the kernel's inputs, the parameter that it stands for."""
        widths = [axis.width for axis in self.axes]
        return [index for index, width in enumerate(widths) for _ in range(width)]

    def encode(self, configurations: Sequence[Mapping[str, Any]]) -> Array:
        """Points, (n, dimensions). Values out of a range are moved to its end."""
        points = np.full((len(configurations), self.dimensions), np.nan)
        for column, (name, axis) in enumerate(zip(self.distributions, self.axes, strict=True)):
            having = [row for row, configuration in enumerate(configurations) if name in configuration]
            points[having, column] = axis.encode([configurations[row][name] for row in having])
        return points

    def decode(self, point: Array) -> dict[str, Any]:
        """The configuration of a point, (dimensions,), without the parameters whose coordinate is NaN."""
        named = zip(self.distributions, self.axes, point, strict=True)
        return {name: axis.decode(float(unit)) for name, axis, unit in named if not np.isnan(unit)}

    def snap(self, points: Array) -> Array:
        """Points moved to the nearest ones that a configuration has; NaN stays."""
        return np.column_stack([axis.snap(points[:, i]) for i, axis in enumerate(self.axes)])

    def inputs(self, points: Array) -> Array:
        """The kernel's inputs, (n, columns), finite: one column a number, one indicator a choice."""
        return np.concatenate([axis.inputs(points[:, i]) for i, axis in enumerate(self.axes)], axis=1)

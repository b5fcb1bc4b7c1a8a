"""One parameter as a coordinate between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Array = NDArray[np.float64]
Number: TypeAlias = FloatDistribution | IntDistribution

NEUTRAL = 0.5
"""Input that stands for an absent number: the middle, which is far from nothing."""
APART = np.sqrt(0.5)
"""Indicator of a choice: two different choices are 1 apart."""


@dataclass(frozen=True)
class NumberAxis:
    """A range: the coordinate is the place between its bounds, of the logarithms if it is logarithmic.

    An integer or a step owns an interval of the width of a step, so that rounding is fair to both ends.
    """

    distribution: Number
    categorical = False
    width = 1
    """Columns among the kernel's inputs."""

    @property
    def discrete(self) -> bool:
        """Whether it has steps."""
        return self.distribution.step is not None

    def encode(self, values: list[Any]) -> Array:
        """Coordinates of values, clipped to 0 and 1."""
        low, high = self._bounds
        numbers = self._scaled(np.array(values, dtype=float))
        units: Array = np.clip((numbers - low) / (high - low), 0.0, 1.0)
        return units

    def decode(self, unit: float) -> float | int:
        """The value at a coordinate."""
        value = float(self._values(np.array([unit]))[0])
        return int(value) if isinstance(self.distribution, IntDistribution) else value

    def snap(self, units: Array) -> Array:
        """The nearest coordinates that are those of values; NaN stays."""
        if not self.distribution.step:
            return units
        low, high = self._bounds
        snapped: Array = (self._scaled(self._values(units)) - low) / (high - low)
        return snapped

    def inputs(self, units: Array) -> Array:
        """(n, 1): the coordinate, in the middle where it is NaN."""
        return np.where(np.isnan(units), NEUTRAL, units)[:, None]

    @property
    def _bounds(self) -> Array:
        half = (self.distribution.step or 0) / 2
        return self._scaled(np.array([self.distribution.low - half, self.distribution.high + half]))

    def _scaled(self, numbers: Array) -> Array:
        return np.log(np.maximum(numbers, np.finfo(float).tiny)) if self.distribution.log else numbers

    def _values(self, units: Array) -> Array:
        bottom, top = self._bounds
        numbers = bottom + units * (top - bottom)
        numbers = np.exp(numbers) if self.distribution.log else numbers
        low, high, step = self.distribution.low, self.distribution.high, self.distribution.step
        numbers = low + np.round((numbers - low) / step) * step if step else numbers
        values: Array = np.clip(numbers, low, high)
        return values


@dataclass(frozen=True)
class ChoiceAxis:
    """A categorical: each of its k choices owns a k-th of the coordinate."""

    distribution: CategoricalDistribution
    categorical = True
    discrete = True

    def encode(self, values: list[Any]) -> Array:
        """Coordinates of choices.

        Raises:
            ValueError: if one is none of the choices.
        """
        index = [self.distribution.to_internal_repr(value) for value in values]
        middles: Array = (np.array(index, dtype=float) + 0.5) / self.width
        return middles

    def decode(self, unit: float) -> Any:
        """The choice at a coordinate."""
        return self.distribution.choices[int(self._index(np.array([unit]))[0])]

    def snap(self, units: Array) -> Array:
        """The middles of the choices; NaN stays."""
        middles: Array = (self._index(units) + 0.5) / self.width
        return middles

    def inputs(self, units: Array) -> Array:
        """(n, k): an indicator for each choice, none where the coordinate is NaN."""
        indicators: Array = (self._index(units)[:, None] == np.arange(self.width)) * APART
        return indicators

    @property
    def width(self) -> int:
        """Columns among the kernel's inputs."""
        return len(self.distribution.choices)

    def _index(self, units: Array) -> Array:
        return np.clip(np.floor(units * self.width), 0, self.width - 1)


Axis: TypeAlias = NumberAxis | ChoiceAxis


def axis_of(distribution: BaseDistribution) -> Axis:
    """The axis of a distribution.

    Raises:
        TypeError: if it is none of Optuna's three.
    """
    if isinstance(distribution, CategoricalDistribution):
        return ChoiceAxis(distribution)
    if isinstance(distribution, (FloatDistribution, IntDistribution)):
        return NumberAxis(distribution)
    raise TypeError(f"unknown distribution {distribution!r}")

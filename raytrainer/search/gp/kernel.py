"""The covariance of two runs: how alike their configurations are, and how far they had trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]
ROOT5 = np.sqrt(5.0)
NO_TRIAL = -1
OWN = 4
"""Entries of `Kernel.theta` after the lengths."""


@dataclass(frozen=True)
class Runs:
    """What the kernel knows of n runs."""

    inputs: Array
    """(n, columns): the configurations, see `Encoding.inputs`."""
    fidelity: Array
    """(n,): 0 for one epoch to 1 for a full run."""
    trial: Index
    """(n,): which trial it is, since those of one share its luck; `NO_TRIAL` for what is only thought of."""

    @classmethod
    def imagined(cls, inputs: Array) -> Runs:
        """Full runs, by no trial, of configurations: (n, columns)."""
        return cls(inputs, np.ones(len(inputs)), np.full(len(inputs), NO_TRIAL))

    def and_also(self, other: Runs) -> Runs:
        """Both, one after the other."""
        inputs = np.concatenate([self.inputs, other.inputs])
        fidelity = np.concatenate([self.fidelity, other.fidelity])
        return Runs(inputs, fidelity, np.concatenate([self.trial, other.trial]))

    def __getitem__(self, index: Index | slice) -> Runs:
        return Runs(self.inputs[index], self.fidelity[index], self.trial[index])

    def __len__(self) -> int:
        return len(self.fidelity)


@dataclass(frozen=True)
class Kernel:
    """ARD Matern 5/2 over configuration and fidelity, plus a linear term in the fidelity, plus luck, plus noise.

    Luck is what all values of one trial have in common and another trial of the same configuration would not, as
    another seed of the training gives it; noise is each value's own.

    Matern: Rasmussen and Williams, Gaussian Processes for Machine Learning, chapter 4.
    """

    theta: Array
    """Logarithms of one length a parameter, the fidelity's length, and the variances: Matern, linear, luck, noise."""
    owners: Sequence[int]
    """For each column of the inputs, the parameter that it belongs to: the columns of one share its length."""

    @cached_property
    def _scale(self) -> Array:
        return np.exp(-self.theta[:-OWN])[[*self.owners, -1]]

    def _scaled(self, runs: Runs) -> Array:
        scaled: Array = np.column_stack([runs.inputs, runs.fidelity]) * self._scale
        return scaled

    def between(self, left: Runs, right: Runs) -> Array:
        """Covariances of the targets but for the noise, (n, m)."""
        a, b = self._scaled(left), self._scaled(right)
        squared = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        matern, _ = matern_and_slope(np.maximum(squared, 0.0))
        total: Array = np.exp(self.theta[-4]) * matern
        total += np.exp(self.theta[-3]) * np.outer(left.fidelity, right.fidelity)
        total += np.exp(self.theta[-2]) * same_trial(left.trial[:, None], right.trial)
        return total

    def variance(self, runs: Runs) -> Array:
        """Variances of what configurations are worth, without luck and noise, (n,)."""
        total: Array = np.exp(self.theta[-4]) + np.exp(self.theta[-3]) * runs.fidelity**2
        return total

    @property
    def noise(self) -> float:
        """Variance of a target around its trial's."""
        return float(np.exp(self.theta[-1]))

    @property
    def chance(self) -> float:
        """Variance of a new trial's target around what its configuration is worth."""
        return float(np.exp(self.theta[-2])) + self.noise


def same_trial(left: Index, right: Index) -> NDArray[np.bool_]:
    """Where both are the same trial, and are one at all."""
    same: NDArray[np.bool_] = (left == right) & (left != NO_TRIAL)
    return same


def matern_and_slope(squared: Array) -> tuple[Array, Array]:
    """Matern 5/2 of unit length and variance at squared distances, and its derivative by them."""
    r = ROOT5 * np.sqrt(squared)
    decay = np.exp(-r)
    slope = (r + 1.0) * decay
    matern = slope + 5 / 3 * squared * decay
    slope *= -5 / 6
    return matern, slope

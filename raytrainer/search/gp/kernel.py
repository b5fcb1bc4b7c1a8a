"""The covariance of two runs: how alike their configurations are, and how far they had trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROOT5 = np.sqrt(5.0)


@dataclass(frozen=True)
class Runs:
    """What the kernel knows of n runs."""

    inputs: Array
    """(n, columns): the configurations, see `Encoding.inputs`."""
    fidelity: Array
    """(n,): 0 for one epoch to 1 for a full run."""

    def and_also(self, other: Runs) -> Runs:
        """Both, one after the other."""
        inputs = np.concatenate([self.inputs, other.inputs])
        return Runs(inputs, np.concatenate([self.fidelity, other.fidelity]))

    def __getitem__(self, index: NDArray[np.int64] | slice) -> Runs:
        return Runs(self.inputs[index], self.fidelity[index])

    def __len__(self) -> int:
        return len(self.fidelity)


@dataclass(frozen=True)
class Kernel:
    """ARD Matern 5/2 over configuration and fidelity, plus a linear term in the fidelity, plus noise.

    Matern: Rasmussen and Williams, Gaussian Processes for Machine Learning, chapter 4.
    """

    theta: Array
    """Logarithms of one length a parameter, the fidelity's length, and the variances: Matern, linear, noise."""
    owners: Sequence[int]
    """For each column of the inputs, the parameter that it belongs to: the columns of one share its length."""

    @cached_property
    def _scale(self) -> Array:
        return np.exp(-self.theta[:-3])[[*self.owners, -1]]

    def _scaled(self, runs: Runs) -> Array:
        scaled: Array = np.column_stack([runs.inputs, runs.fidelity]) * self._scale
        return scaled

    def between(self, left: Runs, right: Runs) -> Array:
        """Covariances of the noiseless targets, (n, m)."""
        a, b = self._scaled(left), self._scaled(right)
        squared = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        matern, _ = matern_and_slope(np.maximum(squared, 0.0))
        total: Array = np.exp(self.theta[-3]) * matern
        total += np.exp(self.theta[-2]) * np.outer(left.fidelity, right.fidelity)
        return total

    def variance(self, runs: Runs) -> Array:
        """Variances of the noiseless targets, (n,)."""
        total: Array = np.exp(self.theta[-3]) + np.exp(self.theta[-2]) * runs.fidelity**2
        return total

    @property
    def noise(self) -> float:
        """Variance of a target around the noiseless one."""
        return float(np.exp(self.theta[-1]))


def matern_and_slope(squared: Array) -> tuple[Array, Array]:
    """Matern 5/2 of unit length and variance at squared distances, and its derivative by them."""
    r = ROOT5 * np.sqrt(squared)
    decay = np.exp(-r)
    slope = (r + 1.0) * decay
    matern = slope + 5 / 3 * squared * decay
    slope *= -5 / 6
    return matern, slope

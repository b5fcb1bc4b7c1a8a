"""Gaussian process regression: predictions, and what pending runs change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from raytrainer.search.gp.kernel import Kernel, Runs

Array = NDArray[np.float64]
JITTER = 1e-8
"""Added to every variance, so that equal runs do not make a covariance singular."""


@dataclass(frozen=True)
class Posterior:
    """What is believed after some runs."""

    kernel: Kernel
    runs: Runs
    factor: Array
    """(n, n): lower Cholesky factor of the covariance of the targets."""
    weights: Array
    """(n,): the inverse covariance times the targets."""

    @classmethod
    def after(cls, runs: Runs, targets: Array, extra_noise: Array, kernel: Kernel) -> Posterior:
        """From at least one run, its target, and the variance that the target has beyond the noise of all."""
        matrix = kernel.between(runs, runs)
        matrix[np.diag_indices_from(matrix)] += kernel.noise + JITTER + extra_noise
        factor = cholesky(matrix, lower=True, check_finite=False)
        return cls(kernel, runs, factor, cho_solve((factor, True), targets, check_finite=False))

    def mean(self, at: Runs) -> Array:
        """Expected target, (n,)."""
        mean: Array = self.kernel.between(at, self.runs) @ self.weights
        return mean

    def predict(self, at: Runs) -> tuple[Array, Array]:
        """Mean and standard deviation of what configurations that are imagined are worth, (n,) each."""
        cross = self.kernel.between(self.runs, at)
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        variance = self.kernel.variance(at) - np.einsum("ij,ij->j", reduced, reduced)
        return self.weights @ cross, np.sqrt(np.maximum(variance, JITTER))

    def jointly(self, at: Runs) -> tuple[Array, Array]:
        """Mean, (n,), and covariance, (n, n), of what configurations that are imagined are worth."""
        cross = self.kernel.between(self.runs, at)
        reduced = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        return self.weights @ cross, self.kernel.between(at, at) - reduced.T @ reduced

    def believing(self, pending: Runs) -> Posterior:
        """As if the pending runs had come out as expected (kriging believer: Ginsbourger et al., 2010).

        That changes no mean; what is pending is only less uncertain.
        """
        if not len(pending):
            return self
        cross = self.kernel.between(self.runs, pending)
        below = solve_triangular(self.factor, cross, lower=True, check_finite=False)
        block = self.kernel.between(pending, pending) - below.T @ below
        block[np.diag_indices_from(block)] += self.kernel.chance + JITTER
        lower = cholesky(block, lower=True, check_finite=False)
        factor = np.block([[self.factor, np.zeros_like(cross)], [below.T, lower]])
        weights = np.concatenate([self.weights, np.zeros(len(pending))])
        return Posterior(self.kernel, self.runs.and_also(pending), factor, weights)

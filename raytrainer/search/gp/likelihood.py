"""The kernel's lengths and variances, learnt from the runs: maximum a posteriori by a few steps of L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

from raytrainer.search.gp.kernel import Kernel, Runs, matern_and_slope, squared_distances
from raytrainer.search.gp.regression import JITTER

Array = NDArray[np.float64]
STEPS = 20
"""Steps of L-BFGS, at most."""
LENGTH = (0.7, 0.8)
"""Prior of a parameter's length: median, and standard deviation of the logarithm. So are the others."""
OTHERS = {"fidelity's length": (1.0, 0.8), "matern": (1.0, 0.7), "linear": (1.0, 0.7), "noise": (5e-3, 1.5)}
FAR = 4.0
"""Standard deviations of the prior within which a hyperparameter is looked for."""
WORST = 1e10
"""Objective where the covariance is singular to rounding."""


def learn_kernel(runs: Runs, targets: Array, extra_noise: Array, owners: Sequence[int]) -> Kernel:
    """The likeliest kernel under the priors.

    Args:
        runs: n of them, at least one.
        targets: (n,), about standard normal.
        extra_noise: (n,), variance that a target has beyond the noise of all.
        owners: for each column of the inputs, its parameter.
    """
    squared = squared_distances(runs, owners)
    priors = np.array([LENGTH] * (len(squared) - 1) + list(OTHERS.values()))
    centre, width = np.log(priors[:, 0]), priors[:, 1]
    product = np.outer(runs.fidelity, runs.fidelity)
    found = minimize(
        _objective,
        centre,
        (squared, product, targets, extra_noise, centre, width),
        method="L-BFGS-B",
        jac=True,
        bounds=np.column_stack([centre - FAR * width, centre + FAR * width]),
        options={"maxiter": STEPS},
    )
    return Kernel(np.asarray(found.x), owners)


def _objective(
    theta: Array, squared: Array, product: Array, targets: Array, extra_noise: Array, centre: Array, width: Array
) -> tuple[float, Array]:
    """Negative log posterior of the hyperparameters, up to a constant, and its gradient."""
    inverse_squares = np.exp(-2 * theta[:-3])
    variance, linear, noise = np.exp(theta[-3:])
    layers = squared.reshape(len(squared), -1)
    matern, slope = matern_and_slope((inverse_squares @ layers).reshape(product.shape))
    matrix = variance * matern + linear * product
    matrix[np.diag_indices_from(matrix)] += noise + extra_noise + JITTER
    factor, singular = lapack.dpotrf(matrix, lower=1, clean=1)
    if singular:
        return WORST, np.zeros_like(theta)
    weights = lapack.dpotrs(factor, targets, lower=1)[0].ravel()
    pull = _pull(factor, weights)
    by_length = -2 * variance * inverse_squares * (layers @ (pull * slope).ravel())
    by_variance = [variance * np.vdot(pull, matern), linear * np.vdot(pull, product), noise * np.trace(pull)]
    off = (theta - centre) / width
    value = 0.5 * targets @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
    return float(value), np.concatenate([by_length, by_variance]) + off / width


def _pull(factor: Array, weights: Array) -> Array:
    """Derivative of the negative log likelihood by the covariance, folded into its lower half."""
    pull: Array = lapack.dpotri(factor, lower=1)[0] - np.tril(np.outer(weights, weights))
    pull[np.diag_indices_from(pull)] /= 2
    return pull

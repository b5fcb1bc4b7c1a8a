"""The kernel's lengths and variances, learnt from the runs: maximum a posteriori by a few steps of L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

from raytrainer.search.gp.kernel import OWN, Kernel, Runs, matern_and_slope, same_trial
from raytrainer.search.gp.regression import JITTER

Array = NDArray[np.float64]
Index = NDArray[np.intp]
STEPS = 20
"""Steps of L-BFGS, at most."""
LENGTH = (0.7, 0.8)
"""Prior of a parameter's length: median, and standard deviation of the logarithm. So are the others."""
OTHERS = {
    "fidelity's length": (1.0, 0.8),
    "matern": (1.0, 0.7),
    "linear": (1.0, 0.7),
    "luck": (1e-4, 2.0),
    "noise": (5e-3, 1.5),
}
START_LUCK = 2e-2
"""Where luck is looked for first: from a small value it would not grow, however much there is."""
FAR = 4.0
"""Standard deviations of the prior within which a hyperparameter is looked for."""
WORST = 1e10
"""Objective where the covariance is singular to rounding."""


@dataclass(frozen=True)
class _Evidence:
    """What the objective needs of n rows; pairs are those below the diagonal, in the order of `numpy.tril_indices`."""

    squared: Array
    """(parameters + 1, pairs): squared distances by parameter, the fidelity last, all lengths 1."""
    product: Array
    """(pairs,): products of the fidelities."""
    same: Array
    """(pairs,): 1 where both are of one trial, else 0."""
    own: Array
    """(n,): squares of the fidelities."""
    targets: Array
    extra_noise: Array
    centre: Array
    """Medians of the priors, as logarithms."""
    width: Array
    """Standard deviations of the priors."""

    @cached_property
    def below(self) -> tuple[Index, Index]:
        """Rows and columns of the pairs."""
        return np.tril_indices(len(self.own), -1)


def learn_kernel(runs: Runs, targets: Array, extra_noise: Array, owners: Sequence[int]) -> Kernel:
    """The likeliest kernel under the priors.

    Args:
        runs: n of them, at least one.
        targets: (n,), about standard normal.
        extra_noise: (n,), variance that a target has beyond the noise of all.
        owners: for each column of the inputs, its parameter.
    """
    evidence = _gather(runs, targets, extra_noise, owners)
    centre, width = evidence.centre, evidence.width
    start = centre.copy()
    start[-2] = np.log(START_LUCK)
    found = minimize(
        objective,
        start,
        (evidence,),
        method="L-BFGS-B",
        jac=True,
        bounds=np.column_stack([centre - FAR * width, centre + FAR * width]),
        options={"maxiter": STEPS},
    )
    return Kernel(np.asarray(found.x), owners)


def objective(theta: Array, evidence: _Evidence) -> tuple[float, Array]:
    """Negative log posterior of the hyperparameters, up to a constant, and its gradient; see `Kernel.theta`."""
    inverse_squares = np.exp(-2 * theta[:-OWN])
    variance, linear, luck, noise = np.exp(theta[-OWN:])
    matern, slope = matern_and_slope(inverse_squares @ evidence.squared)
    diagonal = variance + linear * evidence.own + luck + noise + evidence.extra_noise + JITTER
    pairs = variance * matern + linear * evidence.product + luck * evidence.same
    factor, singular = lapack.dpotrf(_lower(diagonal, pairs, evidence), lower=1)
    if singular:
        return WORST, np.zeros_like(theta)
    weights = lapack.dpotrs(factor, evidence.targets, lower=1)[0].ravel()
    inverse = lapack.dpotri(factor, lower=1)[0]
    rows, columns = evidence.below
    pull = inverse[rows, columns] - weights[rows] * weights[columns]  # derivative by a covariance, both halves together
    own_pull = 0.5 * (np.diag(inverse) - weights**2)
    by_length = -2 * variance * inverse_squares * (evidence.squared @ (pull * slope))
    by_matern = variance * (pull @ matern + own_pull.sum())
    by_linear = linear * (pull @ evidence.product + own_pull @ evidence.own)
    by_luck = luck * (pull @ evidence.same + own_pull.sum())
    off = (theta - evidence.centre) / evidence.width
    value = 0.5 * evidence.targets @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
    own = [by_matern, by_linear, by_luck, noise * own_pull.sum()]
    return float(value), np.concatenate([by_length, own]) + off / evidence.width


def _gather(runs: Runs, targets: Array, extra_noise: Array, owners: Sequence[int]) -> _Evidence:
    rows, columns = np.tril_indices(len(runs), -1)
    parameters = max(owners, default=-1) + 1
    squared = np.zeros((parameters + 1, len(rows)))
    for column, owner in zip([*runs.inputs.T, runs.fidelity], [*owners, parameters], strict=True):
        squared[owner] += (column[rows] - column[columns]) ** 2
    priors = np.array([LENGTH] * parameters + list(OTHERS.values()))
    product = runs.fidelity[rows] * runs.fidelity[columns]
    same = same_trial(runs.trial[rows], runs.trial[columns]).astype(float)
    centre, width = np.log(priors[:, 0]), priors[:, 1]
    return _Evidence(squared, product, same, runs.fidelity**2, targets, extra_noise, centre, width)


def _lower(diagonal: Array, pairs: Array, evidence: _Evidence) -> Array:
    matrix = np.diag(diagonal)
    matrix[evidence.below] = pairs
    return matrix

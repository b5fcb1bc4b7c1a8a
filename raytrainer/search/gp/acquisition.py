"""Where to look next: the expected improvement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

Array = NDArray[np.float64]


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Logarithm of the expected improvement over `best`, (n,), exact far out too (Ament et al., arXiv 2310.20708)."""
    z = (mean - best) / deviation
    near = np.maximum(z, -1.0)
    direct = np.log(np.exp(-near * near / 2) / np.sqrt(2 * np.pi) + near * np.exp(log_ndtr(near)))
    far = np.minimum(z, -1.0)
    ratio = np.sqrt(np.pi / 2) * erfcx(-far / np.sqrt(2))
    tail = -far * far / 2 - np.log(2 * np.pi) / 2 + np.log(np.maximum(1 + far * ratio, 1e-300))
    logs: Array = np.where(z > -1.0, direct, tail) + np.log(deviation)
    return logs


def log_discount(deviation: Array, noise: float) -> Array:
    """Logarithm of the share of a new value that is news and not noise (Huang et al., J. Global Optim. 34, 2006).

    Added to the expected improvement it makes the augmented one, which does not draw a good configuration again and
    again where noise keeps its value uncertain.

    Args:
        deviation: standard deviations of the noiseless values, (n,).
        noise: variance of a value around the noiseless one.
    """
    share: Array = 1 - np.sqrt(noise / (deviation**2 + noise))
    return np.log(np.maximum(share, np.finfo(float).tiny))

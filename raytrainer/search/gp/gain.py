"""What further trials are expected to gain over the best configuration that was tried."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raytrainer.search.gp.kernel import Runs
from raytrainer.search.gp.model import Model
from raytrainer.search.gp.observations import Observations
from raytrainer.search.gp.regression import Posterior

Array = NDArray[np.float64]

CANDIDATES = 200
"""Configurations that further trials are thought to be of, at most: the most promising."""
FUTURES = 256
"""Draws of what those are worth."""


def expected_gain(model: Model, seen: Observations, trials: int, rng: np.random.Generator) -> float:
    """How much more, in values, the best of so many further full trials is worth than the best one so far.

    Of what configurations are worth, without luck and noise: that a lucky seed beats another is no gain. The trials are
    thought to be of the configurations that promise most now. What is learnt on the way would choose better ones, so
    this is less than a search finds, the more so the more trials are to come. What does not keep the constraints is no
    gain.

    Args:
        model: what is believed, trials that run taken for finished as expected. If it has constraints, something that
            was tried is likely to keep them.
        seen: the rows that it was fitted on, at least one; they say what a score is in values.
        trials: at least 1.
        rng: of the candidates and of what they are worth.
    """
    points = model.candidates(rng)[: min(trials, CANDIDATES)]
    runs = Runs.imagined(model.encoding.inputs(points))
    worth = _draws(model.posterior, runs, rng)
    for limit in model.limits:
        worth[_draws(limit.posterior, runs, rng) < limit.least] = -np.inf
    best = np.maximum(worth.max(1), model.best)
    return float(np.mean(seen.beyond(best) - seen.beyond(np.array(model.best))))


def _draws(posterior: Posterior, runs: Runs, rng: np.random.Generator) -> Array:
    """What so many configurations may be worth together, (FUTURES, n)."""
    mean, covariance = posterior.jointly(runs)
    return rng.multivariate_normal(mean, covariance, size=FUTURES, method="eigh", check_valid="ignore")

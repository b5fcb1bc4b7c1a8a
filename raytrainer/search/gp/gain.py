"""What further trials are expected to gain over the best configuration that was tried."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raytrainer.search.gp.kernel import Runs
from raytrainer.search.gp.model import Model
from raytrainer.search.gp.observations import Observations

Array = NDArray[np.float64]

CANDIDATES = 200
"""Configurations that further trials are thought to be of, at most: the most promising."""
FUTURES = 256
"""Draws of what those are worth."""


def expected_gain(model: Model, seen: Observations, trials: int, rng: np.random.Generator) -> float:
    """How much more, in values, the best of so many further full trials is worth than the best one so far.

    Of what configurations are worth, without luck and noise: that a lucky seed beats another is no gain. The trials are
    thought to be of the configurations that promise most now. What is learnt on the way would choose better ones, so
    this is less than a search finds, the more so the more trials are to come.

    Args:
        model: what is believed, trials that run taken for finished as expected.
        seen: the rows that it was fitted on, at least one; they say what a score is in values.
        trials: at least 1.
        rng: of the candidates and of what they are worth.
    """
    points = model.candidates(rng)[: min(trials, CANDIDATES)]
    mean, covariance = model.posterior.jointly(Runs.imagined(model.encoding.inputs(points)))
    draws = rng.multivariate_normal(mean, covariance, size=FUTURES, method="eigh", check_valid="ignore")
    best = np.maximum(draws.max(1), model.best)
    return float(np.mean(seen.beyond(best) - seen.beyond(np.array(model.best))))

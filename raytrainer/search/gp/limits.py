"""Where a constraint is kept: a process over (configuration, epoch) for each, and the chance that a full run keeps it.

Gardner et al., Bayesian Optimization with Inequality Constraints, ICML 2014.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.special import log_ndtr

from raytrainer.search.epoch_notes import told, violations_of
from raytrainer.search.gp.curves import Curves
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.gp.kernel import Runs
from raytrainer.search.gp.likelihood import learn_kernel
from raytrainer.search.gp.observations import Observations, most_telling, rows_of
from raytrainer.search.gp.regression import Posterior

Array = NDArray[np.float64]

MOST = 100
"""Rows of a constraint, at most: fewer than of fitness, since only where it is kept counts."""
MOST_TAUGHT = 50
"""Rows that a kernel is learnt from."""
MARGIN = 0.5
"""Score by which the limit is above the best row, where no row keeps it."""


@dataclass(frozen=True)
class Limit:
    """One constraint."""

    posterior: Posterior
    least: float
    """Score from which on it is kept."""

    def log_chance(self, at: Runs) -> Array:
        """Logarithm of the chance that full runs keep it, (n,)."""
        mean, deviation = self.posterior.predict(at)
        chance: Array = log_ndtr((mean - self.least) / deviation)
        return chance


def limits_of(encoding: Encoding, trials: Sequence[FrozenTrial], points: Array, full: int) -> list[Limit]:
    """A limit for each constraint that was violated at any epoch; none in a study without constraints.

    Args:
        encoding: of the configurations.
        trials: finished and running ones. What a failed one would violate is not known.
        points: theirs, (n, d).
        full: epochs of a full run.
    """
    known = Curves.of([_violations(trial, full) for trial in trials])
    kept = [Curves(known.owner, known.epoch, -column).finite() for column in known.value.T] if len(known) else []
    rows = [rows_of(curves.best_by_then(curves.value, full), full) for curves in kept]
    return [_limit(encoding, points, seen.thinned(MOST, MOST // 2)) for seen in rows if (seen.value < 0).any()]


def _limit(encoding: Encoding, points: Array, seen: Observations) -> Limit:
    runs = Runs(encoding.inputs(points[seen.owner]), seen.fidelity, seen.owner)
    taught = most_telling(seen.score, MOST_TAUGHT, MOST_TAUGHT // 2)
    kernel = learn_kernel(runs[taught], seen.score[taught], seen.extra_noise[taught], encoding.owners)
    kept, violated = seen.score[seen.value >= 0], seen.score[seen.value < 0]
    least = (kept.min() + violated.max()) / 2 if len(kept) else violated.max() + MARGIN
    return Limit(Posterior.after(runs, seen.score, seen.extra_noise, kernel), float(least))


def _violations(trial: FrozenTrial, full: int) -> Mapping[int, Sequence[float]]:
    """How far each constraint was violated by epoch; nothing of a failed trial.

    One that was ended for what is measured of its architecture has had no epoch; a 0 says there that nothing is known.
    """
    if trial.state == TrialState.FAIL:
        return {}
    by_epoch = violations_of(trial)
    return by_epoch or ({full: [each or math.nan for each in told(trial)]} if told(trial) else {})

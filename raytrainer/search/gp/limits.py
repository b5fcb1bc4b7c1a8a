"""Where a constraint is kept: a process over (configuration, epoch) for each, and the chance that a full run keeps it.

Gardner et al., Bayesian Optimization with Inequality Constraints, ICML 2014.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.special import log_ndtr

from raytrainer.search.epoch_notes import told, violations_of
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.gp.kernel import Runs
from raytrainer.search.gp.likelihood import learn_kernel
from raytrainer.search.gp.observations import Observations, most_telling, observe
from raytrainer.search.gp.regression import Posterior

Array = NDArray[np.float64]

MOST_TAUGHT = 100
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
    by_epoch = [violations_of(trial) for trial in trials]
    count = max((len(each) for epochs in by_epoch for each in epochs.values()), default=0)
    count = max([count, *(len(told(trial)) for trial in trials)])
    rows = (observe(_of_constraint(i, trials, by_epoch, full), 1.0, full) for i in range(count))
    return [_limit(encoding, points, seen) for seen in rows if len(seen) and (seen.value < 0).any()]


def _limit(encoding: Encoding, points: Array, seen: Observations) -> Limit:
    runs = Runs(encoding.inputs(points[seen.owner]), seen.fidelity, seen.owner)
    taught = most_telling(seen.score, MOST_TAUGHT, MOST_TAUGHT // 2)
    kernel = learn_kernel(runs[taught], seen.score[taught], seen.extra_noise[taught], encoding.owners)
    kept, violated = seen.score[seen.value >= 0], seen.score[seen.value < 0]
    least = (kept.min() + violated.max()) / 2 if len(kept) else violated.max() + MARGIN
    return Limit(Posterior.after(runs, seen.score, seen.extra_noise, kernel), float(least))


def _of_constraint(
    i: int, trials: Sequence[FrozenTrial], by_epoch: Sequence[dict[int, list[float]]], full: int
) -> list[FrozenTrial]:
    """The trials with how well they keep one constraint as their curves, 0 or more where they do.

    One that was ended for what is measured of its architecture has had no epoch; a 0 says there that nothing is known.
    """
    made = []
    for trial, epochs in zip(trials, by_epoch, strict=True):
        stand_in = copy.copy(trial)
        stand_in.state, stand_in.values = TrialState.RUNNING, None
        known = {full: told(trial)[i]} if not epochs and told(trial) and told(trial)[i] != 0 else {}
        curve = {epoch: violations[i] for epoch, violations in epochs.items()} or known
        stand_in.intermediate_values = {epoch: -violation for epoch, violation in curve.items()}
        made.append(stand_in if trial.state != TrialState.FAIL else _nothing(stand_in))
    return made


def _nothing(trial: FrozenTrial) -> FrozenTrial:
    trial.intermediate_values = {}
    return trial

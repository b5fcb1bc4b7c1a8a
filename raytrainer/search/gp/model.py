"""What is believed about a study, and the configuration that promises most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from raytrainer.search.gp.acquisition import log_discount, log_expected_improvement
from raytrainer.search.gp.conditions import Condition, learn_conditions
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.gp.kernel import Runs
from raytrainer.search.gp.likelihood import learn_kernel
from raytrainer.search.gp.limits import Limit, limits_of
from raytrainer.search.gp.observations import Observations, most_telling
from raytrainer.search.gp.proposal import propose, scattered
from raytrainer.search.gp.regression import Posterior
from raytrainer.search.views import is_paused

Array = NDArray[np.float64]

MOST_TAUGHT = 100
"""Rows that the kernel is learnt from; the rest count for the prediction only."""
MOST_PENDING = 64
"""Running trials that are reckoned with, the latest."""
ROUNDING = 1e-12
"""Difference of coordinates up to which a value is the same: 0.3 is three steps of 0.1."""
LIKELY = 0.5
"""Chance from which on a configuration counts as one that keeps the constraints."""


@dataclass(frozen=True)
class Proposal:
    """A point, and what is expected of a full run there, in scores."""

    point: Array
    mean: float
    deviation: float
    """Of what the configuration is worth."""
    best: float
    """The highest mean of a configuration that was tried."""
    again: int | None
    """The first trial at this point, by its place among the trials; None if it is new."""


@dataclass(frozen=True)
class Model:
    """A process over (configuration, epoch), and the trials that it knows."""

    encoding: Encoding
    posterior: Posterior
    """Running trials taken for finished as expected."""
    points: Array
    """Of all trials."""
    known: Array
    """Points with a value, the highest mean first, but behind those that are likely to keep all constraints."""
    best: float
    """That mean."""
    conditions: Sequence[Condition]
    limits: Sequence[Limit]
    """Of the constraints."""
    feasible: bool
    """Whether a configuration that was tried is likelier than not to keep them; `best` is the best of such."""

    @classmethod
    def after(
        cls, encoding: Encoding, trials: Sequence[FrozenTrial], points: Array, seen: Observations, full: int
    ) -> Model:
        """From the trials, their points, and at least one row that was seen of them.

        `full` is the epochs of a full run, for the limits.
        """
        runs = Runs(encoding.inputs(points[seen.owner]), seen.fidelity, seen.owner)
        taught = most_telling(seen.score, MOST_TAUGHT, MOST_TAUGHT // 2)
        kernel = learn_kernel(runs[taught], seen.score[taught], seen.extra_noise[taught], encoding.owners)
        posterior = Posterior.after(runs, seen.score, seen.extra_noise, kernel)
        tried = points[np.unique(seen.owner)]
        means = posterior.mean(Runs.imagined(encoding.inputs(tried)))
        limits = limits_of(encoding, trials, points, full)
        chances = np.exp(_log_chance(limits, Runs.imagined(encoding.inputs(tried))))
        likely = chances >= LIKELY
        order = np.argsort(-means, kind="stable") if likely.all() else np.lexsort((-means, -chances, ~likely))
        trains = [trial.state == TrialState.RUNNING and not is_paused(trial) for trial in trials]
        pending = points[trains][-MOST_PENDING:]
        return cls(
            encoding=encoding,
            posterior=posterior.believing(Runs.imagined(encoding.inputs(pending))),
            points=points,
            known=tried[order],
            best=float(means[likely].max() if likely.any() else means.max()),
            conditions=learn_conditions(points, encoding.parents),
            limits=limits,
            feasible=bool(likely.any()),
        )

    def propose(self, rng: np.random.Generator) -> Proposal:
        """The point of the highest augmented expected improvement; it may be one that was tried.

        With constraints it is times the chance that they are kept; that alone as long as nothing is known to keep them.
        """
        categorical = [axis.categorical for axis in self.encoding.axes]
        point = propose(self._promise, self.known, categorical, self.encoding.snap, rng)
        mean, deviation = self._predict(point[None])
        same = np.flatnonzero(np.isclose(self.points, point, rtol=0, atol=ROUNDING, equal_nan=True).all(1))
        return Proposal(point, float(mean[0]), float(deviation[0]), self.best, int(same[0]) if len(same) else None)

    def candidates(self, rng: np.random.Generator) -> Array:
        """Different points, (n, d), the one of the highest augmented expected improvement first."""
        categorical = [axis.categorical for axis in self.encoding.axes]
        points = np.unique(self.encoding.snap(scattered(self.known, categorical, rng)), axis=0)
        return points[np.argsort(-self._promise(points), kind="stable")]

    def _promise(self, candidates: Array) -> Array:
        for condition in self.conditions:
            condition.apply(candidates)
        mean, deviation = self._predict(candidates)
        discount = log_discount(deviation, self.posterior.kernel.chance)
        chance = _log_chance(self.limits, Runs.imagined(self.encoding.inputs(candidates)))
        if not self.feasible:
            return chance
        return log_expected_improvement(mean, deviation, self.best) + discount + chance

    def _predict(self, points: Array) -> tuple[Array, Array]:
        return self.posterior.predict(Runs.imagined(self.encoding.inputs(points)))


def _log_chance(limits: Sequence[Limit], at: Runs) -> Array:
    """Logarithm of the chance that full runs keep all constraints, taken for independent, (n,); 0 without any."""
    chance: Array = sum((limit.log_chance(at) for limit in limits), np.zeros(len(at)))
    return chance

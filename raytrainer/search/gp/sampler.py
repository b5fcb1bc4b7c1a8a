"""The sampler: an Optuna sampler that sees configurations and whole curves, and asks what a full run would bring."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from raytrainer.search.gp.acquisition import log_discount, log_expected_improvement
from raytrainer.search.gp.axis import axis_of
from raytrainer.search.gp.conditions import learn_conditions
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.gp.kernel import Runs
from raytrainer.search.gp.likelihood import learn_kernel
from raytrainer.search.gp.observations import Observations, longest, most_telling, observe
from raytrainer.search.gp.proposal import propose
from raytrainer.search.gp.regression import Posterior

Array = NDArray[np.float64]

MOST_TAUGHT = 100
"""Rows that the kernel is learnt from; the rest count for the prediction only."""
MOST_PENDING = 64
"""Running trials that are reckoned with, the latest."""


class MultiFidelitySampler(BaseSampler):
    """A Gaussian process over (configuration, epoch), built afresh from the study for every suggestion.

    A suggestion is a function of the study, the seed and the trial's number. Trials may carry intermediate values,
    by epoch, or a value alone; without any curve this is ordinary Bayesian optimisation. Parameters may come and go
    between trials. Running trials are reckoned with; failed ones count as bad.

    The model follows Klein et al., Model-based Asynchronous Hyperparameter and Neural Architecture Search (MOBSTER,
    arXiv 2003.10865), with ranks for values, so that an outlier is no more than the worst. What is sought is the
    augmented expected improvement at full fidelity, since ranks turn near-equal values into noise.

    Args:
        seed: of the first points and of the search for the best next one, at least 0.
        max_epochs: epochs of a full run; None is the longest curve so far.
        n_startup_trials: first trials of a study that are spread evenly and not modelled.

    Raises:
        ValueError: on suggesting for a study of several objectives.
    """

    def __init__(self, seed: int = 0, max_epochs: int | None = None, n_startup_trials: int = 6) -> None:
        self._seed = seed
        self._max_epochs = max_epochs
        self._startup = n_startup_trials

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every parameter that any trial had, as the latest one had it."""
        self._raise_error_if_multi_objective(study)
        space: dict[str, BaseDistribution] = {}
        for other in _others(study, trial):
            space.update(other.distributions)
        return {name: space[name] for name in sorted(space) if not space[name].single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of `trial`; those whose condition does not seem to hold may be missing."""
        if not search_space:
            return {}
        encoding, trials = Encoding(search_space), _others(study, trial)
        full = self._max_epochs or longest(trials)
        sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
        seen = observe(trials, sign, full)
        if trial.number < self._startup or not len(seen):
            return encoding.decode(self._evenly(trial.number, encoding.dimensions))
        return encoding.decode(self._promising(trial.number, trials, seen, encoding))

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value drawn at random: the parameter is new to the study."""
        rng = np.random.default_rng([self._seed, trial.number, zlib.crc32(param_name.encode())])
        return axis_of(param_distribution).decode(rng.random())

    def _evenly(self, number: int, dimensions: int) -> Array:
        point: Array = qmc.Sobol(dimensions, rng=self._seed).fast_forward(number).random(1)[0]
        return point

    def _promising(self, number: int, trials: Sequence[FrozenTrial], seen: Observations, encoding: Encoding) -> Array:
        points = encoding.encode([trial.params for trial in trials])
        runs = Runs(encoding.inputs(points[seen.owner]), seen.fidelity)
        taught = most_telling(seen.score, MOST_TAUGHT)
        kernel = learn_kernel(runs[taught], seen.score[taught], seen.extra_noise[taught], encoding.owners)
        posterior = Posterior.after(runs, seen.score, seen.extra_noise, kernel)
        tried = points[np.unique(seen.owner)]
        means = posterior.mean(_full_runs(encoding, tried))
        pending = points[[trial.state == TrialState.RUNNING for trial in trials]][-MOST_PENDING:]
        posterior = posterior.believing(_full_runs(encoding, pending))
        conditions = learn_conditions(points, encoding.parents)

        def promise(candidates: Array) -> Array:
            for condition in conditions:
                condition.apply(candidates)
            mean, deviation = posterior.predict(_full_runs(encoding, candidates))
            return log_expected_improvement(mean, deviation, means.max()) + log_discount(deviation, kernel.noise)

        known = tried[np.argsort(-means, kind="stable")]
        categorical = [axis.categorical for axis in encoding.axes]
        return propose(promise, known, categorical, encoding.snap, np.random.default_rng([self._seed, number]))


def _others(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """Running and finished trials but `trial`, by number."""
    trials = study._get_trials(deepcopy=False, use_cache=True)  # as Optuna's own samplers read them
    return [other for other in trials if other.number != trial.number and other.state != TrialState.WAITING]


def _full_runs(encoding: Encoding, points: Array) -> Runs:
    return Runs(encoding.inputs(points), np.ones(len(points)))

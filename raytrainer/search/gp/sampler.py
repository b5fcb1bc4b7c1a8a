"""The sampler: an Optuna sampler that sees configurations and whole curves, and asks what a full run would bring."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from raytrainer.search.gp.axis import axis_of
from raytrainer.search.gp.chebyshev import scalarised, weights_of
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.gp.model import Model
from raytrainer.search.gp.observations import Observations, longest, observe

Array = NDArray[np.float64]

WHY = "raytrainer:why"
"""Trial attribute of a suggestion of the model: the value that it expects of a full run, from and to one standard
deviation around it, and the best that it expects of a configuration tried before. None of a first point, spread evenly.
Of several objectives these are values of the one that they were made, whose weights stand beside them."""
WEIGHT = "weight_"
"""Key of a weight there, followed by the objective's place, from 0."""


class MultiFidelitySampler(BaseSampler):
    """A Gaussian process over (configuration, epoch), built afresh from the study for every suggestion.

    A suggestion is a function of the study, the seed and the trial's number. Trials may carry intermediate values,
    by epoch, a value, or both: what is sought is the best value of a complete trial, which need not be of its curve.
    Without any curve this is ordinary Bayesian optimisation. Parameters may come and go between trials. Running trials
    are reckoned with; failed ones count as bad, the less so the more trials beside them did not fail. Trials without
    any parameter that is searched, such as one that failed before it was given the first, are at no place and left out.

    The model follows Klein et al., Model-based Asynchronous Hyperparameter and Neural Architecture Search (MOBSTER,
    arXiv 2003.10865), with ranks for values, so that an outlier is no more than the worst. What is sought is the
    augmented expected improvement at full fidelity, since ranks turn near-equal values into noise. A configuration is
    suggested again, to the last digit, where its noise makes that worth more than any new one. Constraints, where the
    trials carry them, are modelled alike, and the improvement counts as much as they are likely to be kept. Several
    objectives are made one, with other weights for each suggestion (see `chebyshev`).

    Args:
        seed: of the first points and of the search for the best next one, at least 0; None draws one.
        max_epochs: epochs of a full run, at least 1; None is the longest curve so far.
        n_startup_trials: first trials of a study that are spread evenly and not modelled, at least 0.

    Raises:
        ValueError: if one of them is less.
    """

    def __init__(self, seed: int | None = 0, max_epochs: int | None = None, n_startup_trials: int = 6) -> None:
        least = {"seed": (seed, 0), "max_epochs": (max_epochs, 1), "n_startup_trials": (n_startup_trials, 0)}
        for name, (given, bound) in least.items():
            if given is not None and given < bound:
                raise ValueError(f"{name}: expected at least {bound}, got {given}")
        self._seed = np.random.SeedSequence().generate_state(1)[0].item() if seed is None else seed
        self._max_epochs = max_epochs
        self._startup = n_startup_trials

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every parameter that any trial had, as the latest one had it."""
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
        encoding = Encoding(search_space)
        trials, signs = _placed(_others(study, trial), search_space), _signs(study)
        full, weights = self._max_epochs or longest(trials), weights_of(self._seed, trial.number, len(signs))
        sign, curves = (1.0, scalarised(trials, signs, weights, full)) if len(signs) > 1 else (signs[0], None)
        points = encoding.encode([other.params for other in trials])
        seen = observe(trials, sign, full, curves, encoding.inputs(points))
        if trial.number < self._startup or not len(seen):
            return encoding.decode(self._evenly(trial.number, encoding.dimensions))
        model = Model.after(encoding, trials, points, seen, full)
        params, why = self._promising(trial.number, trials, seen, model)
        told = {key: sign * value for key, value in why.items()}
        told["from"], told["to"] = sorted([told["from"], told["to"]])
        if len(weights) > 1:
            told |= {f"{WEIGHT}{place}": float(weight) for place, weight in enumerate(weights)}
        study._storage.set_trial_system_attr(trial._trial_id, WHY, told)
        return params

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

    def _promising(
        self, number: int, trials: Sequence[FrozenTrial], seen: Observations, model: Model
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """Parameters, and why these: see `WHY`."""
        found = model.propose(np.random.default_rng([self._seed, number]))
        scores = {
            "expected": found.mean,
            "from": found.mean - found.deviation,
            "to": found.mean + found.deviation,
            "best": found.best,
        }
        why = {name: seen.value_at(score) for name, score in scores.items()}
        if found.again is None:
            return model.encoding.decode(found.point), why
        params = trials[found.again].params
        return {name: params[name] for name in model.encoding.distributions if name in params}, why


def _signs(study: Study) -> list[float]:
    """Of each objective, 1 if larger values are better, -1 if smaller ones are."""
    return [-1.0 if direction == StudyDirection.MINIMIZE else 1.0 for direction in study.directions]


def _others(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """Running and finished trials but `trial`, by number."""
    trials = study._get_trials(deepcopy=False, use_cache=True)  # as Optuna's own samplers read them
    return [other for other in trials if other.number != trial.number and other.state != TrialState.WAITING]


def _placed(trials: Sequence[FrozenTrial], space: Mapping[str, BaseDistribution]) -> list[FrozenTrial]:
    """Those with a parameter of the space: any other one would count as a result in its middle, which it is not."""
    return [trial for trial in trials if not space.keys().isdisjoint(trial.params)]

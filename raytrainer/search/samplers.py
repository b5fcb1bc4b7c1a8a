"""Samplers by name, ours and Optuna's, seeded by the study's seed and the trial's number alone."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from raytrainer.config.problems import Problem, UserError, suggest
from raytrainer.config.space import Space
from raytrainer.search.gp.sampler import MultiFidelitySampler
from raytrainer.search.rungs import first_rung, full_length, rungs, rungs_of
from raytrainer.search.thinning import as_pruned, at_one_rung, ended_as_complete, thinned_for_several
from raytrainer.search.views import is_paused

AUTO = "auto"
"""The name of ours; its class's name is known as well."""
ONE_SEQUENCE = ("QMCSampler", "GridSampler", "MultiFidelitySampler")
"""Samplers that walk through one sequence for the whole study: their seed names the sequence, not the trial."""
TPE_STARTUP = 10
"""Optuna's default `n_startup_trials`."""
OWN = {"seed": "search.seed", "max_epochs": "train.epochs"}
"""Arguments that are not for a space file to give, each with what does."""
ONE_OBJECTIVE = ("CmaEsSampler",)
"""Samplers that follow one value. Source: `_raise_error_if_multi_objective` of optuna 5.0."""


@dataclass(frozen=True)
class Suggester:
    """A sampler by name, made afresh for every suggestion.

    A fresh one has no memory but the study, and its seed is a function of the study's seed and the trial's number: a
    restarted driver suggests what an undisturbed one would have.

    Raises:
        UserError: if there is no such sampler, or it does not take these arguments.
    """

    name: str
    """`auto`, or a class name in any case, with or without `Sampler`: tpe, CmaEsSampler, all of Optuna's."""
    args: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    conditional: bool = False
    """Whether some parameters are active only under a condition."""
    epochs: int | None = None
    """Epochs of a full run, for a sampler that asks; None lets it see for itself."""
    objectives: int = 1
    """Of the study."""
    dimensions: int = 1
    """Number of searched parameters."""
    rungs: tuple[int, ...] = ()
    """Epochs at which TPE may compare unfinished trials of one objective, ascending."""

    def __post_init__(self) -> None:
        kind = sampler_class(self.name).__name__
        if self.objectives > 1 and kind in ONE_OBJECTIVE:
            message = f"{kind} follows one objective, and there are {self.objectives}: auto, tpe, gp, nsgaii and random"
            raise _refused("search.sampler", f"{message} take several")
        self.sampler(0)

    def sampler(self, number: int) -> BaseSampler:
        """The sampler that suggests trial `number`."""
        kind = sampler_class(self.name)
        accepted = _parameters(kind)
        for key in self.args:
            if key in OWN:
                raise _refused(f"search.sampler_args.{key}", f"given by {OWN[key]}: leave it out")
            if key not in accepted:
                nearest = suggest(key, [name for name in accepted if name not in OWN])
                raise _refused(f"search.sampler_args.{key}", f"{kind.__name__} has no argument {key!r}{nearest}")
        arguments = {**self._defaults(kind, number, accepted), **self.args}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return kind(**arguments)
        except (TypeError, ValueError, ImportError) as error:
            raise _refused("search.sampler_args", f"{kind.__name__}: {error}") from error

    def shown(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial] | None:
        """What the sampler should see in place of the study's trials, paused ones as pruned, failed ones as bad.

        None is all as it is.
        """
        kind = sampler_class(self.name)
        if kind is MultiFidelitySampler:  # it tells them apart by itself
            return None
        paused = any(is_paused(trial) for trial in trials)
        trials = [as_pruned(trial) if is_paused(trial) else trial for trial in trials] if paused else trials
        if kind is TPESampler:
            if self.objectives > 1:
                return thinned_for_several(trials)
            return at_one_rung(trials, self.rungs, int(self.args.get("n_startup_trials", self._startup)))
        stopped = self.objectives == 1 and any(trial.state == TrialState.PRUNED for trial in trials)
        if stopped or any(trial.state == TrialState.FAIL for trial in trials):
            return ended_as_complete(trials, stopped=stopped)
        return list(trials) if paused else None

    @property
    def _startup(self) -> int:
        """Trials that TPE needs for a model unless it is told: the more of its own default and BOHB's count."""
        return max(TPE_STARTUP, self.dimensions + 2)

    def _defaults(self, kind: type[BaseSampler], number: int, accepted: Mapping[str, Any]) -> dict[str, Any]:
        seed = trial_seed(self.seed, number)
        wanted: dict[str, Any] = {"seed": self.seed if kind.__name__ in ONE_SEQUENCE else seed}
        wanted["max_epochs"] = self.epochs
        if kind is TPESampler:
            if self.objectives == 1:
                wanted["n_startup_trials"] = self._startup
            wanted["group"] = self.conditional and self.args.get("multivariate") is not False
            if wanted["group"]:
                wanted["multivariate"] = True  # the default, but of several objectives only with a warning
        elif "warn_independent_sampling" in accepted:
            wanted["warn_independent_sampling"] = False
        if kind.__name__ == "QMCSampler":
            wanted |= {"scramble": True, "independent_sampler": RandomSampler(seed=seed)}
        return {key: value for key, value in wanted.items() if key in accepted}


def suggester_of(space: Space) -> Suggester:
    """The sampler that a space asks for.

    Raises:
        UserError: see `Suggester`.
    """
    return Suggester(
        name="random" if space.search.schedule else space.search.sampler,
        args=space.search.sampler_args,
        seed=space.search.seed,
        conditional=any(parameter.when for parameter in space.space.values()),
        epochs=full_length(space),
        objectives=len(space.objectives),
        dimensions=len(space.space),
        rungs=_compared_at(space),
    )


def _compared_at(space: Space) -> tuple[int, ...]:
    """The rungs that TPE compares trials at; none where no rule stops any, so that all come to their ends."""
    search = space.search
    if search.pruner == "none":
        return ()
    if search.pruner == "median":  # it has no factor of its own
        return rungs(first_rung(space), full_length(space), type(search).model_fields["reduction_factor"].default)
    return rungs_of(space)


def trial_seed(seed: int, number: int) -> int:
    """Seed of one trial's suggestion, 0 to 2**32 - 1, independent over trials and studies."""
    return int(np.random.SeedSequence([seed % 2**64, number]).generate_state(1)[0])


def sampler_class(name: str) -> type[BaseSampler]:
    """The sampler called `name`.

    Raises:
        UserError: if there is none, with the nearest name.
    """
    known: dict[str, type[BaseSampler]] = {_short(kind.__name__): kind for kind in _samplers()}
    known[AUTO] = MultiFidelitySampler
    if _short(name) not in known:
        raise _refused("search.sampler", f"no sampler is called {name!r}" + suggest(_short(name), known))
    return known[_short(name)]


@cache  # looking at signatures is slow, and asked for at every suggestion
def _samplers() -> list[type[BaseSampler]]:
    """Optuna's that need nothing but plain arguments (not `PartialFixedSampler`, which wraps another one), and ours."""
    classes = [*(getattr(optuna.samplers, name) for name in optuna.samplers.__all__), MultiFidelitySampler]
    return [
        kind
        for kind in classes
        if inspect.isclass(kind)
        and issubclass(kind, BaseSampler)
        and not inspect.isabstract(kind)
        and "base_sampler" not in inspect.signature(kind).parameters
    ]


@cache
def _parameters(kind: type[BaseSampler]) -> Mapping[str, Any]:
    return inspect.signature(kind).parameters


def _short(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").removesuffix("sampler")


def _refused(key: str, message: str) -> UserError:
    return UserError([Problem(file=None, line=None, key=key, message=message)])

"""Ray's own PopulationBasedTraining and PB2, asked for one generation.

What is theirs: who is among the worst and the best, who clones whom, which values come next. They hear of every trial
by `on_trial_add` and `on_trial_result`, as from Ray, with trials that nobody runs; what Ray would do to a trial
(`_exploit`) is noted in its place. PB2's Gaussian process learns from the generations before, which are put where it
would have collected them.

Parameters go by number to them, since PB2 takes no name with a slash in it, as a class may have.

What is ours: values stay inside the space's ranges and on their steps; a range with `log` is a logarithm to PB2, whose
ranges are linear; the random numbers are those of the study's seed and the epoch; `spared` trials are not replaced, the
next worst are.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining

from raytrainer.config.parameters import Categorical, Float, Integer, Parameter, Scalar
from raytrainer.config.space import Space
from raytrainer.search.population import Clone, Generation, Member
from raytrainer.search.samplers import trial_seed

CHECKPOINT = "its folder"
"""In place of a checkpoint of Ray's: every trial has one."""


class _Paused(Trial):  # type: ignore[misc]
    """A trial of Ray's that is there to be compared."""

    @property
    def checkpoint(self) -> str:
        return CHECKPOINT


class _Noting:
    """In front of one of Ray's schedulers: what it would do to a trial is kept in `exploits`."""

    spared: AbstractSet[int] = frozenset()

    def __init__(self, **arguments: Any) -> None:
        always = {"time_attr": "epoch", "metric": "fitness", "mode": "max", "synch": True, "log_config": False}
        super().__init__(**always, **arguments)
        self.exploits: list[tuple[int, int, dict[str, Any]]] = []

    def _exploit(self, tune_controller: Any, trial: Any, trial_to_clone: Any) -> None:  # noqa: ARG002, Ray's signature
        config, _ = self._get_new_config(trial, trial_to_clone)  # type: ignore[attr-defined]
        self.exploits.append((int(trial.trial_id), int(trial_to_clone.trial_id), config))

    def _quantiles(self) -> tuple[list[Any], list[Any]]:
        """Ray's, with the next worst in the place of those who are spared."""
        lower, upper = super()._quantiles()  # type: ignore[misc]
        ranked = sorted(self._trial_state, key=lambda trial: self._trial_state[trial].last_score)  # type: ignore[attr-defined]
        free = [trial for trial in ranked if int(trial.trial_id) not in self.spared and trial not in upper]
        return free[: len(lower)], upper


class _Pbt(_Noting, PopulationBasedTraining):  # type: ignore[misc]
    """Population based training."""


def decided(
    space: Space, epoch: int, members: Sequence[Member], spared: AbstractSet[int], before: Sequence[Generation]
) -> Generation:
    """The generation that ends with `epoch`: who goes on from whom, with which values.

    Args:
        space: the study's.
        epoch: the last one of the generation, counted from 1.
        members: all that train, with what they reached.
        spared: trials that are not replaced.
        before: the generations so far, in their order.
    """
    axes = {name: _Axis(f"{n:04}", each) for n, (name, each) in enumerate(sorted(space.space.items()))}
    linear = space.search.schedule == "pb2"
    with seeded(trial_seed(space.search.seed, epoch)):
        scheduler = _pb2(space, epoch, axes, before) if linear else _pbt(space, epoch, axes)
        scheduler.spared = spared
        trials = [_trial(member, axes, linear) for member in members]
        controller = SimpleNamespace(search_alg=None, get_trials=lambda: trials, get_live_trials=lambda: trials)
        for trial in trials:
            scheduler.on_trial_add(controller, trial)
        for trial, member in zip(trials, members, strict=True):
            scheduler.on_trial_result(controller, trial, {"epoch": epoch, "fitness": member.score})
    clones = [
        Clone(trial, source, {name: axis.value(config[axis.key], linear) for name, axis in axes.items()})
        for trial, source, config in scheduler.exploits
    ]
    return Generation(epoch, tuple(members), tuple(clones))


def _pbt(space: Space, epoch: int, axes: Mapping[str, _Axis]) -> Any:
    return _Pbt(
        perturbation_interval=epoch,
        hyperparam_mutations={axis.key: axis.drawn for axis in axes.values()},
        quantile_fraction=space.search.quantile_fraction,
        resample_probability=space.search.resample_probability,
    )


def _pb2(space: Space, epoch: int, axes: Mapping[str, _Axis], before: Sequence[Generation]) -> Any:
    from ray.tune.schedulers.pb2 import PB2

    class _Pb2(_Noting, PB2):  # type: ignore[misc]
        """Population based bandits; a class of its own, since scikit-learn may not be there."""

    scheduler = _Pb2(
        perturbation_interval=epoch,
        hyperparam_bounds={axis.key: axis.bounds for axis in axes.values()},
        quantile_fraction=space.search.quantile_fraction,
    )
    rows = [row for generation in before for row in _collected(generation, axes)]
    columns = ["Trial", "Time", *(axis.key for axis in axes.values()), "Reward"]
    scheduler.data = pd.DataFrame(rows, columns=columns if rows else None)
    return scheduler


def _collected(generation: Generation, axes: Mapping[str, _Axis]) -> Iterator[list[Any]]:
    """What PB2 collects: a row for each trial, and one for each clone with what it goes on from (`_explore`)."""
    score = {member.trial: member.score for member in generation.members}
    for member in generation.members:
        yield [_name(member.trial), generation.epoch, *_coordinates(member.values, axes), member.score]
    for clone in generation.clones:
        yield [_name(clone.trial), generation.epoch, *_coordinates(clone.values, axes), score[clone.source]]


def _trial(member: Member, axes: Mapping[str, _Axis], linear: bool) -> Any:
    coordinates = _coordinates(member.values, axes) if linear else [member.values[name] for name in axes]
    values = dict(zip((axis.key for axis in axes.values()), coordinates, strict=True))
    trial = _Paused("trial", config=values, trial_id=str(member.trial), stub=True)
    trial.set_status(Trial.PAUSED)
    return trial


def _name(trial: int) -> str:
    """As Ray prints a trial of `_trial`, by which PB2 knows it."""
    return f"trial_{trial}"


def _coordinates(values: Mapping[str, Scalar], axes: Mapping[str, _Axis]) -> list[float]:
    return [axis.coordinate(float(values[name] or 0)) for name, axis in axes.items()]


class _Axis:
    """A searched parameter as Ray's schedulers take it."""

    def __init__(self, key: str, parameter: Parameter) -> None:
        self.key = key
        """Its name there; these are in the order of the names here."""
        self._parameter = parameter

    @property
    def drawn(self) -> Any:
        """What PBT draws anew from: a list, in whose order it also goes to the next one, or a domain of Ray's."""
        match self._parameter:
            case Categorical():
                return list(self._parameter.choices)
            case Integer(low=low, high=high, log=log):
                return tune.lograndint(low, high + 1) if log else tune.randint(low, high + 1)
            case Float(low=low, high=high, log=log):
                return tune.loguniform(low, high) if log else tune.uniform(low, high)

    @property
    def bounds(self) -> list[float]:
        """What PB2 searches."""
        assert not isinstance(self._parameter, Categorical)
        return [self.coordinate(self._parameter.low), self.coordinate(self._parameter.high)]

    def coordinate(self, value: float) -> float:
        """A value as PB2 sees it."""
        return math.log(value) if not isinstance(self._parameter, Categorical) and self._parameter.log else float(value)

    def value(self, given: Any, linear: bool) -> Scalar:
        """What Ray chose, inside the range and on its steps."""
        parameter = self._parameter
        if isinstance(parameter, Categorical):
            return given  # type: ignore[no-any-return]
        value = math.exp(given) if linear and parameter.log else float(given)
        value = min(max(value, parameter.low), parameter.high)
        step = parameter.step or (1 if isinstance(parameter, Integer) else None)
        if step:
            value = parameter.low + round((value - parameter.low) / step) * step
        return round(value) if isinstance(parameter, Integer) else float(value)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Ray's schedulers draw from the process's own generators: these begin at `seed`, and are put back at the end."""
    before, of_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's, about kernels that few points say little of
            yield
    finally:
        random.setstate(before)
        np.random.set_state(of_numpy)

"""What a population is asked for: when its values change, and what does not go together with that."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.util import find_spec

from raytrainer.config import ultralytics_arguments
from raytrainer.config.mutable import MUTABLE, is_mutable
from raytrainer.config.parameters import Categorical, Parameter
from raytrainer.config.problems import Problem, suggest
from raytrainer.config.space import Search, Space

FEWEST = 2
"""Trials of a population: the defaults, which are never replaced, and one more."""
RANDOM = ("auto", "random")
"""Samplers of the first generation. What others learn from is a trial's own curve, which a clone does not have."""
ONLY_WITH_SCHEDULE = ("perturbation_interval", "quantile_fraction", "resample_probability")


def full_length(space: Space) -> int:
    """Epochs of every trial."""
    return int(space.train.get("epochs", ultralytics_arguments.defaults()["epochs"]))


def interval(space: Space) -> int:
    """Epochs between two changes: as asked for, or a tenth of a training, but at least one."""
    return space.search.perturbation_interval or max(1, full_length(space) // 10)


def boundaries(space: Space) -> list[int]:
    """Epochs, counted from 1, after which values change; none if the space has no schedule.

    None is before the warm-up is over and layers that are frozen at first train: curves before that mean little.
    """
    if space.search.schedule is None:
        return []
    fixed = {**ultralytics_arguments.defaults(), **space.train, **space.trainer}
    settled = max(math.ceil(fixed["warmup_epochs"] or 0), fixed.get("unfreeze_epoch") or 0) + 1
    every = interval(space)
    return [epoch for epoch in range(every, full_length(space), every) if epoch >= settled]


def population_problems(space: Space) -> Iterator[Problem]:
    """One problem for every value that a schedule rules out, or that does nothing without one."""
    search = space.search
    if search.schedule is None:
        unused = (key for key in ONLY_WITH_SCHEDULE if getattr(search, key) != Search.model_fields[key].default)
        for key in unused:
            yield space.problem(("search", key), "is for search.schedule, which is not set: pbt or pb2")
        return
    for key, message in _beside(space):
        yield space.problem(("search", key), f"{message} (search.schedule: {search.schedule})")
    if len(space.objectives) > 1:
        message = "a population has one objective, by which the worst go on from the best"
        yield space.problem(("fitness",), f"{message} (search.schedule: {search.schedule})")
    if space.subject_to:
        message = "no constraints can be kept in a population, whose trials are compared by their fitness alone"
        yield space.problem(("subject_to",), f"{message} (search.schedule: {search.schedule})")
    if search.schedule == "pb2":
        yield from _of_pb2(space)
    if not boundaries(space):
        message = f"no values would change: there is no multiple of {interval(space)} after the warm-up and before the "
        yield space.problem(("search", "perturbation_interval"), f"{message}last of {full_length(space)} epochs")
    yield from _patience(space)
    yield from _checkpoints(space)
    for name, parameter in space.space.items():
        if wrong := _unfit(name, parameter, search.schedule):
            yield space.problem(("space", name), wrong)


def _beside(space: Space) -> Iterator[tuple[str, str]]:
    search = space.search
    if search.pruner != "none":
        yield "pruner", "must be none: nobody is stopped in a population, which replaces the worst by the best"
    if search.min_epochs is not None:
        yield "min_epochs", "is for a pruner, and there is none in a population"
    if search.reduction_factor != Search.model_fields["reduction_factor"].default:
        yield "reduction_factor", "is for a pruner, and there is none in a population"
    if search.budget.given:
        yield "budget", "cannot bound a population, which takes search.trials times train.epochs epochs"
    if search.min_gain is not None:
        yield "min_gain", "is for a study that goes on from trial to trial; a population begins all of its trials"
    if search.sampler not in RANDOM:
        yield "sampler", f"expected {' or '.join(RANDOM)}: the first values of a population are drawn at random"
    if search.trials is not None and search.trials < FEWEST:
        yield "trials", f"expected at least {FEWEST} trials, which are the population"


def _of_pb2(space: Space) -> Iterator[Problem]:
    default = Search.model_fields["resample_probability"].default
    if space.search.resample_probability != default:
        yield space.problem(("search", "resample_probability"), "is for schedule: pbt; pb2 draws nothing anew")
    if find_spec("sklearn") is None:
        message = "pb2 needs scikit-learn: pip install 'raytrainer[pb2]'; pbt does not"
        yield space.problem(("search", "schedule"), message)


def _patience(space: Space) -> Iterator[Problem]:
    """A trial that stops by itself leaves the population, or hands an end over to all that go on from it."""
    patience = {**ultralytics_arguments.defaults(), **space.train}["patience"]
    if patience and patience < full_length(space):
        message = (
            f"expected 0, or at least the {full_length(space)} epochs of a trial: nobody stops before the others in a "
            f"population, got {patience}{'' if 'patience' in space.train else ', the default'}"
        )
        yield space.problem(("train", "patience"), message)


def _checkpoints(space: Space) -> Iterator[Problem]:
    every = space.trainer.get("checkpoint_every", 1)
    if not isinstance(every, int) or interval(space) % every:
        message = (
            f"expected a divisor of search.perturbation_interval ({interval(space)}): a trial goes on from the "
            f"checkpoint of another at that epoch, got {every}"
        )
        yield space.problem(("trainer", "checkpoint_every"), message)


def _unfit(name: str, parameter: Parameter, schedule: str) -> str | None:
    if not is_mutable(name):
        return (
            f"cannot change while a trial trains, as everything does under search.schedule: {schedule}; fix it, or "
            f"search it without a schedule{suggest(name, sorted(MUTABLE))}"
        )
    if parameter.when:
        return f"has a condition, and search.schedule: {schedule} changes each value by itself"
    if isinstance(parameter, Categorical) and schedule == "pb2":
        return "is a list of choices; search.schedule: pb2 takes ranges of numbers only, pbt takes both"
    return None

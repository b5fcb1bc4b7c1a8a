"""What is wrong with what a trial is asked for: its fitness or objectives, and the constraints that it has to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raytrainer.config.constraint_ranges import never_kept
from raytrainer.config.constraints import parse_constraint
from raytrainer.config.dataset import Dataset
from raytrainer.config.fitness import Fitness, FitnessError, parse_expression, parse_fitness
from raytrainer.config.fitness_terms import Use
from raytrainer.config.load import FUNCTION
from raytrainer.config.metric_names import means, per_class
from raytrainer.config.model_file import ModelFacts
from raytrainer.config.problems import KeyPath, Problem, suggest
from raytrainer.config.space import Space
from raytrainer.config.trained_classes import as_trained, misnamed

TASKS = ("detect", "segment", "pose", "obb", "classify")


def goal_problems(space: Space, facts: ModelFacts, dataset: Dataset | None) -> Iterator[Problem]:
    """One for each expression that cannot be read or never has a value, and for each metric that is not there."""
    constraints = []
    for path, text in _texts(space):
        try:
            constraint = parse_constraint(text) if path[0] == "subject_to" else None
            asked = constraint.left if constraint else _objective(path, text)
        except FitnessError as error:
            yield space.problem(path, str(error))
            continue
        if constraint:
            constraints.append((path, constraint))
        if asked.never_defined():
            yield space.problem(path, f"'{text}' is never a number: it divides by 0")
        if facts.problem is None and facts.task in (None, *TASKS):
            for use in asked.uses:
                if message := _missing(use, facts.task, dataset, space.train):
                    yield space.problem(path, f"{message} (at character {use.position + 1} of '{text}')")
    for path, message in never_kept(constraints):
        yield space.problem(path, message)


def _texts(space: Space) -> Iterator[tuple[KeyPath, str]]:
    several = len(space.objectives) > 1
    for place, text in enumerate(space.objectives):
        yield ("fitness", place) if several else ("fitness",), text
    for place, text in enumerate(space.subject_to):
        yield ("subject_to", place), text


def _objective(path: KeyPath, text: str) -> Fitness:
    if len(path) == 1:
        return parse_fitness(text)
    if FUNCTION.match(text.strip()):
        raise FitnessError(text, 0, "expected an expression: a function can only be the fitness by itself")
    return parse_expression(text)


def _missing(use: Use, task: str | None, dataset: Dataset | None, train: Mapping[str, Any]) -> str | None:
    known = per_class(task) if use.label is not None or use.over_classes else means(task)
    if use.metric not in known:
        return f"the task {task} has no metric '{use.metric}'{suggest(use.metric, known)}"
    if use.label is None or dataset is None:
        return None
    if wrong := misnamed(use.label, dataset, train):
        return wrong
    if dataset.present and not as_trained(dataset, train).val_counts.get(use.label):
        return f"the validation labels have no instance of class '{use.label}', so its metrics are never defined"
    return None

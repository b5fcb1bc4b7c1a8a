"""What can be found wrong with a space before anything runs: its model, dataset, fitness, and idle parameters.

Needs the files of the model and the dataset, but neither torch nor a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

from raytrainer.config.assets import URL
from raytrainer.config.contradictions import contradictions
from raytrainer.config.dataset import Dataset, read_dataset
from raytrainer.config.document import BY_CLASS, CLASS_WEIGHTS, by_class
from raytrainer.config.effects import effect_problems
from raytrainer.config.facts import Facts, known_values
from raytrainer.config.goal import TASKS, goal_problems
from raytrainer.config.model_file import ModelFacts, model_facts
from raytrainer.config.problems import Problem, UserError, raise_for
from raytrainer.config.remote_data import is_remote
from raytrainer.config.space import Space
from raytrainer.config.task_fit import task_problems
from raytrainer.config.trained_classes import as_trained, misnamed

__all__ = ["check", "raise_for"]

OPEN_VOCABULARY = ("WorldDetect", "YOLOE")
BUILTIN = "builtin:"


def check(space: Space) -> list[Problem]:
    """Every problem of a space whose form is right; none if it can be run. `raise_for` raises them.

    A part that is missing or unreadable is reported once, and nothing that depends on it is.
    """
    facts = model_facts(space.model)
    dataset, problems = dataset_of(space, facts)
    problems += [space.problem(("space", name), "auto has not been filled in") for name in space.automatic]
    problems += _model(space, facts)
    problems += goal_problems(space, facts, dataset)
    if dataset is not None and dataset.names:
        problems += _class_names(space, dataset)
    problems += contradictions(space, facts)
    if space.storage.url is not None and (missing := space.storage.url.missing()):
        problems.append(space.problem(("storage",), missing))
    problems += task_problems(space, facts, dataset)
    if facts.problem is None:
        trained = as_trained(dataset, space.train) if dataset is not None else None
        certain = Facts(known_values(space), facts, trained, space.resources.world_size)
        problems += effect_problems(space, certain)
    return sorted(problems, key=_place)


def _place(problem: Problem) -> tuple[bool, int]:
    """Lines of the file first, in their order, then flags and what is missing."""
    return problem.line is None, problem.line or 0


def _model(space: Space, facts: ModelFacts) -> Iterator[Problem]:
    if space.model.startswith(BUILTIN):
        yield space.problem(("model",), f"'{space.model}' has not been prepared")
    elif facts.problem:
        yield space.problem(("model",), facts.problem)
    elif facts.task is not None and facts.task not in TASKS:
        yield space.problem(("model",), f"its task is {facts.task}; expected one of {', '.join(TASKS)}")
    elif facts.head is not None and facts.head.startswith(OPEN_VOCABULARY):
        yield space.problem(("model",), f"is an open-vocabulary model (its head is {facts.head}), which is not served")


def dataset_of(space: Space, facts: ModelFacts) -> tuple[Dataset | None, list[Problem]]:
    """The dataset of a space; None if Ultralytics is to fetch it, or if it has problems, which come with it."""
    if space.data.startswith(BUILTIN):
        return None, [space.problem(("data",), f"'{space.data}' has not been prepared")]
    if URL.match(space.data) and not is_remote(space.data):
        return None, []
    try:
        return read_dataset(space.data, classify=facts.task == "classify"), []
    except UserError as error:
        return None, [_placed(space, problem) for problem in error.problems]


def _placed(space: Space, problem: Problem) -> Problem:
    """A dataset's problem, told at the line that names the dataset."""
    place = f"{problem.file}:{problem.line}" if problem.line else problem.file
    message = problem.message if problem.file == space.data and not problem.line else f"{place}: {problem.message}"
    return space.problem(("data",), message)


def _class_names(space: Space, dataset: Dataset) -> Iterator[Problem]:
    names = as_trained(dataset, space.train).names
    weights = space.trainer.get(CLASS_WEIGHTS)
    if isinstance(weights, list) and len(weights) != len(names):
        has = (
            "train.single_cls makes one class"
            if space.train.get("single_cls")
            else f"the dataset has {len(names)} classes"
        )
        message = f"has {len(weights)} weights, but {has}: {', '.join(names.values())}"
        yield space.problem(("trainer", CLASS_WEIGHTS), message)
    fixed = [(setting, space.trainer.get(setting)) for setting in BY_CLASS]
    named = [(("trainer", setting, name), name) for setting, of in fixed if isinstance(of, dict) for name in of]
    searched = [(("space", name), split[1]) for name in space.space if (split := by_class(name))]
    taken_out = [(("space", name), split[1]) for name in space.taken_out if (split := by_class(name))]
    wrong = [(path, misnamed(name, dataset, space.train)) for path, name in (*named, *searched)]
    wrong += [(path, misnamed(name, dataset, {})) for path, name in taken_out]  # may be out since single_cls came in
    yield from (space.problem(path, message) for path, message in wrong if message)

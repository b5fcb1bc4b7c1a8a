"""What can be found wrong with a space's sampler before its study is opened."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.util import find_spec

from raytrainer.config.parameters import Float
from raytrainer.config.placement import placed
from raytrainer.config.problems import Problem, UserError
from raytrainer.config.space import Space
from raytrainer.config.values import Schema, expected, fits, show
from raytrainer.search.samplers import Suggester, sampler_class

PLAIN = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "None": "null"}
"""Annotations of values that a space file can hold, each with its name in JSON Schema."""
NEEDS = {"CmaEsSampler": "cmaes"}
"""What a sampler imports at its first suggestion only, and Optuna does not bring along."""


def check_sampler(space: Space) -> None:
    """Make the sampler that the space asks for, once.

    Raises:
        UserError: if there is none of that name, if it does not take these arguments or several objectives, or if its
            package is not installed; with their file and line.
    """
    search = space.search
    with placed(space):
        if problems := list(_missing(space)):
            raise UserError(problems)
        Suggester(search.sampler, search.sampler_args, search.seed, objectives=len(space.objectives))
        if problems := list(_wrong_types(space)):
            raise UserError(problems)
        if problems := list(_unfit(space, sampler_class(search.sampler).__name__)):
            raise UserError(problems)


def _missing(space: Space) -> Iterator[Problem]:
    """Arguments without a default."""
    kind = sampler_class(space.search.sampler)
    for name, argument in inspect.signature(kind).parameters.items():
        needed = argument.default is argument.empty and argument.kind not in (
            argument.VAR_KEYWORD,
            argument.VAR_POSITIONAL,
        )
        if needed and name not in space.search.sampler_args:
            yield space.problem(("search", "sampler"), f"{kind.__name__} needs the argument sampler_args.{name}")


def _unfit(space: Space, kind: str) -> Iterator[Problem]:
    """What would end a study at its first suggestion, when the defaults have been trained."""
    if (package := NEEDS.get(kind)) and find_spec(package) is None:
        yield space.problem(("search", "sampler"), f"{kind} needs the package {package}: pip install {package}")
    if kind == "BruteForceSampler":
        for name, parameter in space.space.items():
            if isinstance(parameter, Float) and parameter.step is None:
                yield space.problem(
                    ("space", name), f"{kind} tries all there is, and a range without a step has no end"
                )


def _wrong_types(space: Space) -> Iterator[Problem]:
    """Values whose type the sampler does not name; it would keep them and fail at the first suggestion."""
    kind = sampler_class(space.search.sampler)
    parameters = inspect.signature(kind).parameters
    for name, value in space.search.sampler_args.items():
        schema = _schema(str(parameters[name].annotation))
        if schema is not None and not fits(schema, value):
            message = f"{kind.__name__}: expected {expected(schema)}, got {show(value)}"
            yield space.problem(("search", "sampler_args", name), message)


def _schema(annotation: str) -> Schema | None:
    """JSON Schema of an annotation such as `int | None`; None if it names anything that is not plain."""
    names = [name.strip() for name in annotation.split("|")]
    return {"anyOf": [{"type": PLAIN[name]} for name in names]} if all(name in PLAIN for name in names) else None

"""What can be found wrong with a space's sampler before its study is opened."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.util import find_spec

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
        Suggester(search.sampler, search.sampler_args, search.seed, objectives=len(space.objectives))
        if problems := list(_wrong_types(space)):
            raise UserError(problems)
        kind = sampler_class(search.sampler).__name__
        if (package := NEEDS.get(kind)) and find_spec(package) is None:
            message = f"{kind} needs the package {package}: pip install {package}"
            raise UserError([space.problem(("search", "sampler"), message)])


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

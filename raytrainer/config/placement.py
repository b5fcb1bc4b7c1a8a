"""The place of a mistake that was found by somebody who knows its key alone, as the trainer and the samplers do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from raytrainer.config.document import split
from raytrainer.config.problems import KeyPath, Problem, UserError
from raytrainer.config.space import Space


@contextmanager
def placed(space: Space) -> Iterator[None]:
    """Give the problems of a `UserError` that is raised within the file and line, or the flag, of their keys.

    Raises:
        UserError: the same, with its places.
    """
    try:
        yield
    except UserError as error:
        raise UserError(_placed(space, problem) for problem in error.problems) from error.__cause__


def _placed(space: Space, problem: Problem) -> Problem:
    if problem.file is not None or problem.key is None:
        return problem
    found = space.problem(_path(space, problem.key), problem.message)
    return replace(found, key=found.key or problem.key)


def _path(space: Space, key: str) -> KeyPath:
    """`search.sampler` as it stands, `freeze` in the section that holds it; what none holds is at the top."""
    path = tuple(split(key))
    if path == ("train",):  # something about the run, not the section or the flag that it begins with
        return ()
    if path[0] in type(space).model_fields:
        return path
    held = (section for section in ("space", "trainer", "train") if path[0] in getattr(space, section))
    return next(((section, *path) for section in held), path)

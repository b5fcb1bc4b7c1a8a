"""One fitness, or a list of objectives: what such a list may be, and what does not go together with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    from raytrainer.config.problems import Problem
    from raytrainer.config.space import Space

MOST = 4
"""Objectives; beyond that nearly every trial is on the front, which then says nothing."""


def alone(given: str | list[str]) -> str | list[str]:
    """A list of one is the same as that one."""
    return given[0] if isinstance(given, list) and len(given) == 1 else given


Goal = Annotated[
    str | Annotated[list[str], Field(json_schema_extra={"minItems": 1, "maxItems": MOST, "uniqueItems": True})],
    AfterValidator(alone),
]
"""An expression, or several."""


def listed(goal: str | list[str]) -> list[str]:
    """The objectives of a goal, one or several."""
    return [goal] if isinstance(goal, str) else goal


def objective_problems(space: Space) -> Iterator[Problem]:
    """One for each objective that is there twice, and for what is for a single fitness; none where there is one."""
    objectives = space.objectives
    if len(objectives) == 1:
        return
    if len(objectives) > MOST:
        message = f"expected at most {MOST} objectives, got {len(objectives)}: more are best put together in one"
        yield space.problem(("fitness",), message)
    bare = ["".join(text.split()) for text in objectives]
    for place, text in enumerate(bare):
        if (first := bare.index(text)) < place:
            yield space.problem(("fitness", place), f"'{objectives[place]}' is there twice, first as fitness.{first}")
    if space.search.min_gain is not None and space.search.schedule is None:
        message = "is of one fitness, and there are several objectives; search.trials or search.budget ends the study"
        yield space.problem(("search", "min_gain"), message)

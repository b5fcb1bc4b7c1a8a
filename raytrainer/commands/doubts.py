"""What `check` and `tune` warn of: what is written in a space and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from raytrainer.config.unchanged import no_objective
from raytrainer.results.early_stopping import idle, stops_nobody

if TYPE_CHECKING:
    from raytrainer.config.problems import Problem
    from raytrainer.config.space import Space


def doubts(space: Space) -> Iterator[Problem]:
    """A problem for each: a pruner that stops nobody, an option without effect, an objective that stays as it is."""
    for told in (stops_nobody, idle, no_objective):
        yield from told(space)

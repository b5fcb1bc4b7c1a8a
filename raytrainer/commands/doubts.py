"""What `check` and `tune` warn of: a space that can be searched, though hardly as it was meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from raytrainer.config.unchanged import no_objective
from raytrainer.results.early_stopping import idle, stops_nobody, too_early

if TYPE_CHECKING:
    from raytrainer.config.problems import Problem
    from raytrainer.config.space import Space


def doubts(space: Space) -> Iterator[Problem]:
    """A problem for each: a pruner or an option without effect, trials compared too early, an objective that stays."""
    for told in (stops_nobody, idle, too_early, no_objective):
        yield from told(space)

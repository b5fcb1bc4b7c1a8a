"""From whom each trial of a population has come, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from raytrainer.results.live import parameters

if TYPE_CHECKING:
    from raytrainer.search.views import Stage, TrialView


def came_from(view: TrialView) -> str:
    """` (from trial 3, after epoch 4 trial 1)` of a trial that has gone on from another's checkpoint; else nothing."""
    first, *later = view.lineage
    if not later:
        return ""
    steps = [f"from trial {first.trial}", *(f"after epoch {stage.epoch} trial {stage.trial}" for stage in later)]
    return f" ({', '.join(steps)})"


def lineage_rows(views: Sequence[TrialView]) -> list[list[str]]:
    """A row for each trial: its number, its lineage from the beginning on, and what changed on the way."""
    return [[str(view.number), came_from(view).strip(" ()") or "its own", "; ".join(_values(view))] for view in views]


def _values(view: TrialView) -> Iterator[str]:
    yield _shown(view.lineage[0], None)
    for before, stage in pairwise(view.lineage):
        yield f"from epoch {stage.epoch + 1} {_shown(stage, before)}"


def _shown(stage: Stage, before: Stage | None) -> str:
    return parameters({k: v for k, v in stage.values.items() if before is None or before.values[k] != v}) or "the same"

"""The front in words and rows, for a terminal and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raytrainer.results.ranking import baseline
from raytrainer.search.front import front

if TYPE_CHECKING:
    from raytrainer.search.views import TrialView


def vector(view: TrialView, objectives: Sequence[str]) -> str:
    """`mAP50-95 0.4133, -latency_ms -7.251` of a trial's best epoch."""
    pairs = zip(objectives, view.objectives, strict=True)
    return ", ".join(f"{text} {number(value)}" for text, value in pairs)


def number(value: float) -> str:
    """An objective's value, to four significant digits."""
    return f"{value:.4g}"


def front_table(views: Sequence[TrialView], objectives: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """A header, and a row for each trial on the front: its number, the objectives, the parameters that differ there."""
    from raytrainer.results.live import scalar

    members = front(views)
    names = list(dict.fromkeys(name for view in members for name in view.present))
    if len(members) > 1:
        names = [name for name in names if len({str(view.present.get(name)) for view in members}) > 1]
    rows = [
        [
            f"{view.number} (defaults)" if view.number == 0 else str(view.number),
            *map(number, view.objectives),
            *(scalar(view.present[name]) if name in view.present else "" for name in names),
        ]
        for view in members
    ]
    return ["trial", *objectives, *names], rows


def defaults_told(views: Sequence[TrialView]) -> str:
    """How the defaults stand to the front; empty while one of the two is missing."""
    members, start = front(views), baseline(views)
    if not members or start is None or not start.objectives:
        return ""
    if any(view.number == start.number for view in members):
        return "the defaults are on it"
    better = [view for view in members if start.feasible and _dominates(view.objectives, start.objectives)]
    if not better:
        why = "" if start.feasible else ": they violate a constraint"
        return f"the defaults are not on it{why}"
    which = ", ".join(str(view.number) for view in better)
    return f"the defaults are dominated by trial{'s' if len(better) > 1 else ''} {which}"


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine >= its for mine, its in zip(one, other, strict=True))

"""Who is paused when more trials run than what is left of a budget of hours can take to their ends.

What an epoch takes is known only once some have been trained, and it may change: by then more trials may run than the
budget is good for. If all went on, all would be cut just short of their ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from raytrainer.search.budget import Left
from raytrainer.search.standings import standings
from raytrainer.search.views import BASELINE, TrialView

Views = Sequence[TrialView]


def too_many(number: int, views: Views, full: int, left: Left) -> set[int]:
    """The running trials that are not to go on, now that `number` has done an epoch and the others are at one.

    In the order of `_in_order` each one is kept for which there is room after those before it, if one of the epochs
    that say what they take may have been twice as slow as the others. For the first no such doubt is granted: none of
    the others goes on with an epoch that would take what it needs.

    Args:
        number: who has done an epoch.
        views: all trials.
        full: epochs of a full run.
        left: of the budget.
    """
    needs = {view.number: _needs(view, full, left) for view in views if view.state == "running"}
    if left.measured < 1 or sum(needs.values()) <= left.together:
        return set()
    first, *others = _in_order(views)
    rest, paused = left.together - needs[first.number], set[int]()
    room = rest + left.together / left.measured
    for view in others:
        needed, epoch = needs[view.number], _needs(view, view.last_epoch + 1, left)
        kept = needed <= room and epoch <= rest
        if not kept:
            paused.add(view.number)
        room -= needed if kept else epoch * (view.number != number)
        rest -= epoch
    return paused


def _needs(view: TrialView, until: int, left: Left) -> float:
    """Epochs until one is done, and what a start takes if that is not over."""
    return until - view.last_epoch + (left.start if view.promoted == view.last_epoch else 0.0)


def _in_order(views: Views) -> list[TrialView]:
    """Those that run: the baseline, the best by what it has, then by what they had at the epoch that all have reached
    which have reported any; of equals the one that began first."""
    running = [view for view in views if view.state == "running"]
    reached = [view.last_epoch for view in running if view.values]
    ever, common = standings(views, max(reached, default=1), reached=1), standings(views, min(reached, default=1))
    best = max(running, key=lambda view: (ever.get(view.number, -math.inf), -view.number))

    def place(view: TrialView) -> tuple[bool, bool, float, int]:
        return view.number == BASELINE, view is best, common.get(view.number, -math.inf), -view.number

    return sorted(running, key=place, reverse=True)

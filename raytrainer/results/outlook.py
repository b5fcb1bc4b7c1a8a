"""What ended a study, and what it would do with more: at its end, in its status and in its report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from raytrainer.config.problems import counted
from raytrainer.search.budget import Standing, without_epochs
from raytrainer.search.enough import further_trials
from raytrainer.search.rungs import full_length

if TYPE_CHECKING:
    from raytrainer.config.space import Space
    from raytrainer.search.views import TrialView

Views = Sequence["TrialView"]
MORE = 0.5
"""Share of what was trained so far that the larger budget adds."""


def outlook(space: Space, views: Views, standing: Standing, command: Callable[[list[str]], str]) -> Iterator[str]:
    """Two lines for a study whose budget is spent: which trials it cut, and what a larger one is for. One for a study
    that has found enough. Else none.

    Args:
        space: the study's.
        views: its trials.
        standing: to its end.
        command: what goes on with it, given further flags.
    """
    if standing.enough is not None:
        yield f"{standing.enough}. All the same: {command(['--set', 'search.min_gain=null'])}"
    if standing.spent is None:
        return
    cut = [view for view in views if view.cut]
    enough_left = standing.left >= full_length(space) and without_epochs(views)
    where = "" if enough_left and not cut else _where(cut, full_length(space))
    yield f"{standing.spent} are spent{where}"
    more = epochs_more(space, views, standing)
    resumed = len(cut) or int(standing.waiting is not None)
    flags = [f"search.budget.{part}={bound:.10g}" for part, bound in larger(space, more, standing, resumed).items()]
    begun = [flag for each in flags for flag in ("--set", each)]
    yield f"about {more} epochs more would {_do(space, views, more, standing.waiting)}: {command(begun)}"


def epochs_more(space: Space, views: Views, standing: Standing) -> int:
    """Epochs that are worth asking for: half as many again, one full training at least, and what comes before new
    trials (see `_before_new`)."""
    full = full_length(space)
    return _before_new(views, full) + max(full, math.ceil(MORE * standing.taken.epochs))


def larger(space: Space, epochs: int, standing: Standing, resumed: int = 0) -> dict[str, float]:
    """The parts of the budget that have to be larger for so many epochs more, at the cost of those so far, in which
    their starts are; those of trials that are `resumed` come on top, since few epochs may be left of them."""
    taken, full, raised = standing.taken, full_length(space), {}
    for part, bound in space.search.budget.given.items():
        used = getattr(taken, part)
        needed = used + (epochs * used / taken.epochs if taken.epochs else MORE * bound)
        if part != "epochs" and taken.held:
            needed += resumed * taken.start * used / taken.held
        if part == "wall" and taken.epochs:
            alone = full * taken.held / taken.epochs + min(resumed, 1) * taken.start
            needed = max(needed, used + alone / 3600)
        if needed > bound:
            raised[part] = _round_up(needed)
    return raised


def _where(cut: Views, full: int) -> str:
    if not cut:
        return ", but for too little to train another trial to its end"
    places = ", ".join(f"trial {view.number} at epoch {view.last_epoch}" for view in cut[:5])
    others = f" and {len(cut) - 5} more" if len(cut) > 5 else ""
    return f"; of {counted(full, 'epoch')} each, it has cut {places}{others}"


def _do(space: Space, views: Views, epochs: int, waiting: int | None) -> str:
    """What the study would do with so many epochs more; `waiting` is the paused trial that goes on first if none was
    cut."""
    rests, most = _rests(views, full_length(space)), space.search.most_trials
    left = epochs - _before_new(views, full_length(space))
    new = further_trials(views, full_length(space), left, math.inf if most is None else most - len(views))
    paused = [] if waiting is None else [f"take trial {waiting} to its end"]
    parts = ["take what was cut to its end"] if rests else paused
    parts += [f"begin about {new} trial{'s' if new > 1 else ''}{_gain(space, views, new)}"] if new > 0 else []
    return " and ".join(parts)


def _gain(space: Space, views: Views, trials: int) -> str:
    from raytrainer.search.expectation import gain_of  # SciPy takes a second

    gain = gain_of(space, views, trials)
    return "" if gain is None else f", of which {gain:.2g} more fitness is expected"


def _rests(views: Views, full: int) -> int:
    return sum(full - view.last_epoch for view in views if view.cut)


def _before_new(views: Views, full: int) -> int:
    """Epochs to be left over before a trial begins: the rests of those that were cut, and one for each that ended
    without any (see `Planner`)."""
    return _rests(views, full) + without_epochs(views)


def _round_up(number: float) -> float:
    """To two digits: 301 to 310, 2.31 to 2.4."""
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    return float(f"{math.ceil(number / step - 1e-9) * step:.6g}")

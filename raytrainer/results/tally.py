"""How far a study is: trials by state, epochs done, and how many are still to be expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from raytrainer.config.problems import counted
from raytrainer.search.budget import Standing

if TYPE_CHECKING:
    from raytrainer.search.views import TrialView


UNBOUNDED = Standing()


@dataclass(frozen=True)
class Tally:
    """Trials by state, and epochs."""

    running: int
    complete: int
    pruned: int
    failed: int
    waiting: int | None
    """Asked for and not started; None if the budget alone says how many."""
    epochs_done: int
    epochs_expected: int
    """Done and still to come, if trials go on to be as long as those that have ended."""
    paused: int = 0
    """They may go on, but none of their epochs is expected; but for those of a population, which all do."""

    @property
    def finished(self) -> int:
        """Trials that have ended, in whatever state."""
        return self.complete + self.pruned + self.failed


def tally(
    views: Sequence[TrialView],
    trials: int | None,
    epochs: int,
    standing: Standing = UNBOUNDED,
    *,
    together: bool = False,
) -> Tally:
    """Count.

    Args:
        views: the study's trials.
        trials: how many were asked for in all; None leaves it to the budget.
        epochs: epochs of a trial that is not stopped early.
        standing: how the study stands to its budget.
        together: whether they are a population, in which each paused trial goes on.
    """
    states = [view.state for view in views]
    lengths = [view.last_epoch for view in views if view.state in ("complete", "pruned")]
    waiting = 0 if standing.over or standing.enough else None if trials is None else max(0, trials - len(views))
    going_on = ("running", "paused") if together else ("running",)
    to_end = [view.last_epoch for view in views if view.state in going_on]
    done = sum(view.last_epoch for view in views)
    to_come = sum(_length(epoch, lengths, epochs) - epoch for epoch in [*to_end, *[0] * (waiting or 0)])
    to_come = standing.left if waiting is None and math.isfinite(standing.left) else min(to_come, standing.left)
    return Tally(
        running=states.count("running"),
        complete=states.count("complete"),
        pruned=states.count("pruned"),
        failed=states.count("failed"),
        waiting=waiting,
        epochs_done=done,
        epochs_expected=max(done, round(done + to_come)),
        paused=states.count("paused"),
    )


def _length(epoch: int, lengths: Sequence[int], epochs: int) -> float:
    """How long a trial gets that has reached `epoch`: as those before it that got further, or its full length."""
    further = [length for length in lengths if length > epoch]
    return sum(further) / len(further) if further else epochs


def generation(views: Sequence[TrialView], boundaries: Sequence[int]) -> str:
    """Such as `generation 2 of 5, 3 trials have gone on from others`, by the trial that is furthest behind."""
    behind = [view.promoted for view in views if view.state in ("running", "paused")]
    turned = min(behind, default=max((view.promoted for view in views), default=0))
    number = 1 + sum(boundary <= turned for boundary in boundaries)
    clones = sum(len(view.lineage) > 1 for view in views)
    gone_on = f"{counted(clones, 'trial')} {'has' if clones == 1 else 'have'} gone on from others"
    return f"generation {number} of {len(boundaries) + 1}, {gone_on}"


class Pace:
    """Time left, from the epochs that were done since this object was made.

    Args:
        clock: seconds, only ever growing.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._epochs: int | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def left(self, now: Tally) -> float | None:
        """Seconds until all expected epochs are done; None while no epoch was done."""
        if self._epochs is None:
            self._epochs = now.epochs_done
        done = now.epochs_done - self._epochs
        return self.elapsed / done * (now.epochs_expected - now.epochs_done) if done > 0 else None


def duration(seconds: float) -> str:
    """Seconds for reading, no finer than one can use: `45 s`, `3 min 20 s`, `25 min`, `2 h 05 min`, `3 d 04 h`."""
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if not minutes:
        return f"{whole} s"
    if not hours:
        return f"{minutes} min" if minutes >= 10 else f"{minutes} min {whole % 60:02d} s"
    return f"{hours} h {minutes % 60:02d} min" if not days else f"{days} d {hours % 24:02d} h"

"""What the rest of a budget is spent on: who begins, who goes on, who is cut.

A trial that does not reach its full length cannot be named best. So none begins, and none that is paused goes on,
unless it can still reach it, and so can all that run. Against beginning trials until the budget is spent, that finds
more by `benchmarks/budgets.py` (ten tasks of a surrogate, five seeds): with the epochs of 5, 10 and 20 full trainings
the regret is lower by 0.064 ± 0.015, 0.033 ± 0.009 and 0.009 ± 0.003 with four workers, and by 0.011 ± 0.022,
0.059 ± 0.013 and 0.028 ± 0.010 with eight. For the same reason the best of those that are paused goes on to its end
when nothing is left to begin (see `Planner.goes_on`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raytrainer.config.problems import counted
from raytrainer.config.space import Budget, Space
from raytrainer.search.budget import Left, Standing, Taken, in_words, without_epochs
from raytrainer.search.enough import Enough, further_trials
from raytrainer.search.promises import too_many
from raytrainer.search.rungs import full_length
from raytrainer.search.standings import standings
from raytrainer.search.stopping import Decider, decider_of
from raytrainer.search.views import BASELINE, PAUSED, State, TrialView

Views = Sequence[TrialView]


@dataclass(frozen=True)
class Planner:
    """Decides by the views and by what is left; it keeps nothing between two decisions."""

    budget: Budget
    most: int | None
    """Trials in all."""
    full: int
    """Epochs of a full run."""
    decider: Decider

    @classmethod
    def of(cls, space: Space) -> Planner:
        """The planner of a study."""
        return cls(space.search.budget, space.search.most_trials, full_length(space), decider_of(space))

    def begins(self, views: Views, left: Left) -> bool:
        """Whether a new trial begins now."""
        return self.to_come(views, left) >= 1 and not self._unknown(views)

    def to_come(self, views: Views, left: Left) -> float:
        """How many new trials there is room for, each of full length; infinite without a bound."""
        by_count = math.inf if self.most is None else self.most - len(views)
        return max(0.0, min(by_count, self._room(views, left)))

    def further_trials(self, views: Views, left: Left) -> int:
        """How many are left, if they go on to be as long as those that have ended."""
        most = math.inf if self.most is None else self.most - len(views)
        return further_trials(views, self.full, left.in_all, most)

    def waits(self, views: Views) -> bool:
        """Whether trials may begin or go on later, though none does now: those that run may end, and leave room for
        one, or pause."""
        may_begin = bool(self.budget.given) and not self._all_begun(views)
        return may_begin or _any("paused", views) or (self.decider.pauses and _any("running", views))

    def ends_paused(self, views: Views, enough: Enough | None = None) -> bool:
        """Whether trials that are paused have nothing to wait for: nobody runs, none begins whatever the budget, and
        none of them is to go on or was cut by it."""
        cut = any(view.cut for view in views)
        return self._at_the_end(views, enough) and not cut and self._wanted(views, enough) is None

    def goes_on(self, views: Views, left: Left, enough: Enough | None = None, warm: int | None = None) -> int | None:
        """The paused trial that is to go on before a new one begins, if any; `warm` would not have to start again.

        First those that a budget has cut, the best first. Where there is no room for another one that would begin,
        whichever is paused and can still reach its full length, the best first. When nobody runs and none begins, the
        best of all if it is ahead of every complete trial by what it has already, or if none but the baseline is
        complete: else a study could end just short of the full length of its best.
        """
        paused = [view for view in views if view.state == "paused"]
        if not paused:
            return None
        then = self._once_all_ended(views, left)
        at_best = self._none_knows(views, left)
        fitting = [
            view
            for view in paused
            if then.trials(self.full - view.last_epoch, view.number != warm, at_best=at_best) >= 1
        ]
        cut = [view for view in fitting if view.cut]
        if not cut and (self._none_begins(views, enough) or self._room(views, left) >= 1):
            wanted = self._wanted(views, enough)
            return wanted if any(view.number == wanted for view in fitting) else None
        place = standings(views, self.full, reached=1)
        best = max(cut or fitting, key=lambda view: (place.get(view.number, -math.inf), -view.number), default=None)
        return best.number if best else None

    def falls_behind(self, number: int, views: Views, left: Left, enough: Enough | None = None) -> bool:
        """Whether a running trial is given up by its rule; not if it paused only to go on at once (see `goes_on`)."""
        if not self.decider.decide(number, views[number].last_epoch, views):
            return False
        if not self.decider.pauses:
            return True
        notes = {**views[number].notes, PAUSED: views[number].last_epoch}
        then = [replace(view, state="paused", notes=notes) if view.number == number else view for view in views]
        return self.decider.promote(then) is not None or self.goes_on(then, left, enough, number) != number

    def cuts(self, number: int, views: Views, left: Left) -> bool:
        """Whether a running trial is paused since nothing is left, once the others have done the epoch they are at, or
        since too little is left for all that run (see `promises.too_many`).

        One that has not trained since it began or went on is not: it would have no state to go on from.
        """
        if not self.budget.given:
            return False
        view = views[number]
        others = sum(other.state == "running" for other in views) - 1
        begun = view.promoted < view.last_epoch < self.full
        nothing = left.epochs < others + 1 or min(left.together, left.each) <= 0
        little = left.measured >= 1 and (left.together < others + 1 or left.each < 1)
        return begun and (nothing or little or number in too_many(number, views, self.full, left))

    def standing(self, views: Views, taken: Taken, enough: Enough | None = None) -> Standing:
        """How a study stands that has taken so much, and found enough if so."""
        left = Left.of(self.budget, taken)
        to_come = 0.0 if enough else self.to_come(views, left)
        ended = not _any("running", views) and not to_come and self.goes_on(views, left, enough) is None
        waiting = _any("paused", views) and not self.ends_paused(views, enough)
        wanting = waiting or not self._none_begins(views, enough)
        spent = ended and wanting and bool(self.budget.given) and self._room(views, left) < 1
        return Standing(
            over=spent or (ended and not _any("paused", views)),
            spent=self._in_words(views, taken) if spent else None,
            left=left.in_all,
            to_come=to_come,
            taken=taken,
            enough=str(enough) if enough else None,
            waiting=self._wanted(views, enough) if spent and self._none_begins(views, enough) else None,
        )

    def _wanted(self, views: Views, enough: Enough | None) -> int | None:
        """The paused trial that goes on if there is room for it: by the rule, or to have its best complete."""
        promoted = self.decider.promote(views)
        last = promoted is None and self._at_the_end(views, enough) and _any("paused", views)
        return self._last(views) if last else promoted

    def _last(self, views: Views) -> int | None:
        """The best paused trial, if that may make it the best complete one."""
        place = standings(views, self.full, reached=1)
        complete = [view.number for view in views if view.state == "complete"]
        best = max((view.number for view in views if view.state == "paused"), key=lambda number: place[number])
        ahead = all(place[best] > place[other] for other in complete)
        return best if ahead or complete == [BASELINE] else None

    def _at_the_end(self, views: Views, enough: Enough | None) -> bool:
        """Whether nobody runs, and none begins whatever the budget."""
        return self._none_begins(views, enough) and not _any("running", views)

    def _none_begins(self, views: Views, enough: Enough | None) -> bool:
        return enough is not None or self._all_begun(views)

    def _all_begun(self, views: Views) -> bool:
        return self.most is not None and len(views) >= self.most

    def _unknown(self, views: Views) -> bool:
        """Whether a trial runs and has yet to tell what it takes of hours that all share: others might take what it
        needs to come to its end."""
        shared = self.budget.gpu_hours is not None or self.budget.cpu_hours is not None
        return shared and _any("running", views) and not any(view.values for view in views)

    def _room(self, views: Views, left: Left) -> float:
        """New trials of full length, once all that run have ended; none once more have ended without an epoch than are
        left of a budget of epochs, from which they take nothing: there might be no end of them."""
        then = self._once_all_ended(views, left)
        at_best = self._none_knows(views, left)
        return 0.0 if without_epochs(views) > then.epochs else then.trials(self.full, at_best=at_best)

    def _none_knows(self, views: Views, left: Left) -> bool:
        """Whether only another trial could tell what one takes after its first epoch."""
        return left.measured < 1 and not _any("running", views)

    def _in_words(self, views: Views, taken: Taken) -> str:
        """What is spent; with the trials that took nothing, if it would do for another one."""
        enough = self._once_all_ended(views, Left.of(self.budget, taken)).trials(self.full) >= 1
        barren = f" and {counted(without_epochs(views), 'trial')} without an epoch" if enough else ""
        return in_words(self.budget, taken) + barren

    def _once_all_ended(self, views: Views, left: Left) -> Left:
        """What is left once all that run have gone to their ends."""
        running = [view for view in views if view.state == "running"]
        epochs = sum(self.full - view.last_epoch for view in running)
        return left.after(epochs, sum(view.promoted == view.last_epoch for view in running))


def _any(state: State, views: Views) -> bool:
    return any(view.state == state for view in views)

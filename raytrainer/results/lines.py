"""Progress where there is no terminal: one line for every trial that ends and for every new best, or new front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raytrainer.config.problems import counted
from raytrainer.results.announcement import difference
from raytrainer.results.feasibility import violated
from raytrainer.results.front_table import vector
from raytrainer.results.keep import ENDED
from raytrainer.results.lineage import came_from
from raytrainer.results.live import Asked, parameters
from raytrainer.results.ranking import baseline
from raytrainer.results.tally import duration
from raytrainer.search.front import front
from raytrainer.search.views import TrialView

if TYPE_CHECKING:
    from rich.console import Console


class PlainLines:
    """Prints what has changed since it was last shown the trials.

    Args:
        asked: what was asked for.
        console: where to print.
        views: trials that are known already; those that have ended are not told again.
    """

    def __init__(self, asked: Asked, console: Console, views: Sequence[TrialView]) -> None:
        self._asked, self._console = asked, console
        self._begun = {view.number for view in views}
        self._told = {view.number for view in views if view.state in ENDED}
        self._front = _front(views)
        again = f", {len(self._told)} of them ended before" if self._told else ""
        self.say(f"{asked.name}: {asked}{again}, fitness {asked.goal}")

    def show(self, views: Sequence[TrialView]) -> None:
        """Print a line for every trial that has ended since, and one if the best or the front is another."""
        for view in views:
            if view.state in ENDED and view.number not in self._told:
                self._told.add(view.number)
                waited = view.number in self._begun or view.promoted > 0
                self.say(ending(view, self._asked, timed=not waited))
        before, self._front = {view.number for view in self._front}, _front(views)
        if new := [view for view in self._front if view.number not in before]:
            several = len(self._asked.objectives) > 1
            told = _new_front(self._front, new, self._asked) if several else _new_best(new[0], baseline(views))
            self.say(told + ("" if new[0].feasible else ", INFEASIBLE"))

    def say(self, text: str) -> None:
        """Print one line, however long."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing has to be given back."""


def ending(view: TrialView, asked: Asked, *, timed: bool = True) -> str:
    """One line for a trial that has ended; `timed` if it was trained from its beginning to its end without a pause."""
    head = f"trial {view.number} {view.state}"
    trained = f"after {view.last_epoch} of {counted(asked.epochs, 'epoch')}"
    if timed and view.started and view.ended:
        trained += f" in {duration((view.ended - view.started).total_seconds())}"
    if view.state == "failed":
        return f"{head} {trained}: {view.reason or 'no reason was given'}"
    fitness = "no fitness"
    if view.best_fitness is not None:
        reached = vector(view, asked.objectives) if view.others else f"fitness {view.best_fitness:.4f}"
        fitness = f"{reached} (epoch {view.best_epoch})"
    elif view.reason:
        return f"{head} before its first epoch: {view.reason}  {parameters(view.params)}"
    which = violated(view, asked.subject_to)
    fitness += f", violates {which}" if which else ""
    values = parameters(view.present) + came_from(view)
    return f"{head} {trained}: {fitness}  {values}"


def _front(views: Sequence[TrialView]) -> list[TrialView]:
    """Of those that have ended; with one objective the best alone."""
    return front([view for view in views if view.state in ENDED])


def _new_front(members: Sequence[TrialView], new: Sequence[TrialView], asked: Asked) -> str:
    """`3 trials on the front, new: trial 7 (mAP50 0.4133, -params -2.5e+06)`."""
    told = ", ".join(f"trial {view.number} ({vector(view, asked.objectives)})" for view in new)
    return f"{len(members)} trial{'s' if len(members) > 1 else ''} on the front, new: {told}"


def _new_best(best: TrialView, start: TrialView | None) -> str:
    assert best.best_fitness is not None
    line = f"new best {best.best_fitness:.4f} (trial {best.number})"
    if start is None or start.best_fitness is None or start.number == best.number or start.state not in ENDED:
        return line
    return f"{line}, {difference(best.best_fitness, start.best_fitness)} against the defaults' {start.best_fitness:.4f}"

"""Progress where there is no terminal: one line for every trial that ends and for every new best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from raytrainer.results.announcement import difference
from raytrainer.results.disk_use import size
from raytrainer.results.feasibility import violated
from raytrainer.results.keep import ENDED
from raytrainer.results.lineage import came_from
from raytrainer.results.live import Asked, parameters
from raytrainer.results.ranking import baseline
from raytrainer.results.tally import duration
from raytrainer.search.views import TrialView, best_of

if TYPE_CHECKING:
    from rich.console import Console


class PlainLines:
    """Prints what has changed since it was last shown the trials.

    Args:
        asked: what was asked for.
        console: where to print.
        views: trials that are known already; those that have ended are not told again.
        disk: tells the bytes that the study takes, for the end; None where nobody knows.
    """

    def __init__(
        self,
        asked: Asked,
        console: Console,
        views: Sequence[TrialView],
        disk: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._asked, self._console, self._disk = asked, console, disk
        self._told = {view.number for view in views if view.state in ENDED}
        self._best = _leader(views)
        again = f", {len(self._told)} of them ended before" if self._told else ""
        self.say(f"{asked.name}: {asked}{again}, fitness {asked.goal}")

    def show(self, views: Sequence[TrialView]) -> None:
        """Print a line for every trial that has ended since, and one if the best is another."""
        for view in views:
            if view.state in ENDED and view.number not in self._told:
                self._told.add(view.number)
                self.say(ending(view, self._asked))
        best = _leader(views)
        if best is not None and (self._best is None or best.number != self._best.number):
            self._best = best
            self.say(_new_best(best, baseline(views)) + ("" if best.feasible else ", INFEASIBLE"))

    def say(self, text: str) -> None:
        """Print one line, however long."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Say what the study takes of its disk."""
        if (used := self._disk()) is not None:
            self.say(f"{size(used)} on disk")


def ending(view: TrialView, asked: Asked) -> str:
    """One line for a trial that has ended."""
    head = f"trial {view.number} {view.state}"
    took = f" in {duration((view.ended - view.started).total_seconds())}" if view.started and view.ended else ""
    if view.state == "failed":
        return f"{head} after {view.last_epoch} of {asked.epochs} epochs{took}: {view.reason or 'no reason was given'}"
    fitness = (
        f"fitness {view.best_fitness:.4f} (epoch {view.best_epoch})" if view.best_fitness is not None else "no fitness"
    )
    if view.best_fitness is None and view.reason:
        return f"{head} before its first epoch: {view.reason}  {parameters(view.params)}"
    which = violated(view, asked.subject_to)
    fitness += f", violates {which}" if which else ""
    values = parameters(view.present) + came_from(view)
    return f"{head} after {view.last_epoch} of {asked.epochs} epochs{took}: {fitness}  {values}"


def _leader(views: Sequence[TrialView]) -> TrialView | None:
    return best_of([view for view in views if view.state in ENDED])


def _new_best(best: TrialView, start: TrialView | None) -> str:
    assert best.best_fitness is not None
    line = f"new best {best.best_fitness:.4f} (trial {best.number})"
    if start is None or start.best_fitness is None or start.number == best.number or start.state not in ENDED:
        return line
    return f"{line}, {difference(best.best_fitness, start.best_fitness)} against the defaults' {start.best_fitness:.4f}"

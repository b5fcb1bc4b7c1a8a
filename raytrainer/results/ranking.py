"""Which trials come after the best."""

from __future__ import annotations

from collections.abc import Sequence

from raytrainer.search.views import TrialView


def ranking(views: Sequence[TrialView]) -> list[TrialView]:
    """Trials that have a fitness and have not failed, best first, in the order of `search.views.best_of`.

    Completed trials come first, whatever their fitness: only they were trained as long as a retraining will be. Ties
    go to the lower number, so that nothing beats the defaults by equalling them.
    """
    scored = [(view, view.best_fitness) for view in views if view.best_fitness is not None and view.state != "failed"]
    scored.sort(key=lambda pair: (pair[0].state != "complete", -pair[1], pair[0].number))
    return [view for view, _ in scored]


def baseline(views: Sequence[TrialView]) -> TrialView | None:
    """The trial with the space's defaults, number 0; None if it has not started."""
    return next((view for view in views if view.number == 0), None)

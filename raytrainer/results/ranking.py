"""Which trials come after the best."""

from __future__ import annotations

from collections.abc import Sequence

from raytrainer.search.views import TrialView, rank, scored


def ranking(views: Sequence[TrialView]) -> list[TrialView]:
    """Trials that have a fitness and have not failed, best first, in the order of `search.views.best_of`.

    Trials without a violated constraint come first, and among them completed ones, whatever their fitness: only those
    were trained as long as a retraining will be. Ties go to the lower number, so that nothing beats the defaults by
    equalling them.
    """
    return sorted(scored(views), key=rank, reverse=True)


def baseline(views: Sequence[TrialView]) -> TrialView | None:
    """The trial with the space's defaults, number 0; None if it has not started."""
    return next((view for view in views if view.number == 0), None)

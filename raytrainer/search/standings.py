"""Who is ahead at a rung: by fitness, and where there are constraints, by what they let expect at the end."""

from __future__ import annotations

from collections.abc import Sequence

from raytrainer.search.views import TrialView


def standings(views: Sequence[TrialView], epoch: int, reached: int | None = None) -> dict[int, float]:
    """How trials compare by an epoch, larger is better, by number: of those that have reached `reached`, or `epoch`.

    Without constraints it is their best fitness so far. With them it is a rank. What a trial violates at an epoch says
    little by itself, since precision grows while it trains: it is forgiven as much of each constraint as a trial that
    kept it at any epoch violated it by this one. Trials to which everything is forgiven are ranked by fitness, the
    others behind them by how little is not. As long as no trial has kept a constraint nothing is forgiven: those go on
    that violate it least.
    """
    there = [view for view in views if view.last_epoch >= (reached or epoch) and view.best_at(epoch) is not None]
    if not any(view.violations for view in there):
        return {view.number: view.best_at(epoch) or 0.0 for view in there}
    forgiven = _forgiven(views, epoch)
    keys = {view.number: _key(view, epoch, forgiven) for view in there}
    ranks = {key: float(rank) for rank, key in enumerate(sorted(set(keys.values())))}
    return {number: ranks[key] for number, key in keys.items()}


def _forgiven(views: Sequence[TrialView], epoch: int) -> list[float]:
    """How much of each constraint, 0 at least."""
    seen = [(view.least_violated(epoch), view.ever_kept) for view in views if view.violations]
    count = len(seen[0][1])
    return [max((least[i] for least, kept in seen if least and kept[i]), default=0.0) for i in range(count)]


def _key(view: TrialView, epoch: int, forgiven: Sequence[float]) -> tuple[bool, float]:
    violated = sum(
        max(0.0, least - max(0.0, most)) for least, most in zip(view.least_violated(epoch), forgiven, strict=False)
    )
    return (False, -violated) if violated else (True, view.best_at(epoch) or 0.0)

"""Who is ahead at a rung: by fitness or all objectives, and where there are constraints, by what they let expect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raytrainer.search.front import places
from raytrainer.search.views import TrialView


def standings(views: Sequence[TrialView], epoch: int, reached: int | None = None) -> dict[int, float]:
    """How trials compare by an epoch, larger is better, by number: of those that have reached `reached`, or `epoch`.

    Without constraints it is their best fitness so far; of several objectives, their place by all of them at the epoch
    of the best fitness so far (see `front.places`). With constraints it is a rank. What a trial violates at an epoch
    says little by itself, since precision grows while it trains: it is forgiven as much of each constraint as a trial
    that kept it at any epoch violated it by this one. Trials to which everything is forgiven are ranked as without
    constraints, the others behind them by how little is not. As long as no trial has kept a constraint nothing is
    forgiven: those go on that violate it least.
    """
    there = list(arrived(views, epoch, reached))
    if not any(view.violations for view in there):
        return _worth(there, epoch)
    forgiven = _forgiven(views, epoch)
    violated = {view.number: _violated(view, epoch, forgiven) for view in there}
    worth = _worth([view for view in there if not violated[view.number]], epoch)
    keys = {number: (False, -by) if by else (True, worth[number]) for number, by in violated.items()}
    ranks = {key: float(rank) for rank, key in enumerate(sorted(set(keys.values())))}
    return {number: ranks[key] for number, key in keys.items()}


def arrived(views: Sequence[TrialView], epoch: int, reached: int | None = None) -> Iterator[TrialView]:
    """The trials that `standings` compares, in the order of the views."""
    return (view for view in views if view.last_epoch >= (reached or epoch) and view.best_at(epoch) is not None)


def _worth(views: Sequence[TrialView], epoch: int) -> dict[int, float]:
    if not any(view.others for view in views):
        return {view.number: view.best_at(epoch) or 0.0 for view in views}
    return dict(zip([view.number for view in views], places([v.objectives_at(epoch) for v in views]), strict=True))


def _forgiven(views: Sequence[TrialView], epoch: int) -> list[float]:
    """How much of each constraint, 0 at least."""
    seen = [(view.least_violated(epoch), view.ever_kept) for view in views if view.violations]
    count = len(seen[0][1])
    return [max((least[i] for least, kept in seen if least and kept[i]), default=0.0) for i in range(count)]


def _violated(view: TrialView, epoch: int, forgiven: Sequence[float]) -> float:
    """How much of the constraints is not forgiven."""
    pairs = zip(view.least_violated(epoch), forgiven, strict=False)
    return sum(max(0.0, least - max(0.0, most)) for least, most in pairs)

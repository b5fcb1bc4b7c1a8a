"""Trials made up for tests: what a study would say of them, in one line each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from raytrainer.search.views import State, TrialView

BEGAN = datetime(2026, 3, 1, 9, 0)


def trial(number: int, state: State = "complete", curve: tuple[float, ...] = (), **more: Any) -> TrialView:
    """A trial whose epochs 1, 2, ... gave `curve`; one that has ended took a minute an epoch."""
    best = max(curve, default=None)
    ended = BEGAN + timedelta(minutes=len(curve)) if state != "running" else None
    given = {"params": {"lr0": 0.001 * (number + 1), "optimizer": "AdamW"}, "started": BEGAN, "ended": ended} | more
    return TrialView(
        number=number,
        state=state,
        values=dict(enumerate(curve, start=1)),
        best_fitness=best,
        best_epoch=curve.index(best) + 1 if best is not None else None,
        **given,
    )

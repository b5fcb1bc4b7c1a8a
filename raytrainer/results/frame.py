"""Trials as a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from raytrainer.search.views import TrialView

COLUMNS = ("number", "state", "fitness", "best_epoch", "epochs", "started", "ended", "reason")


def frame(views: Sequence[TrialView]) -> pd.DataFrame:
    """One row a trial, in order of their numbers, which are the index.

    Columns: `state`, `fitness` (best so far), `best_epoch`, `epochs` (done), `started`, `ended`, `reason` (of a
    failure), and `params_<name>` for each searched parameter, missing where it was not active.
    """
    names = list(dict.fromkeys(name for view in views for name in view.params))
    columns = [*COLUMNS, *(f"params_{name}" for name in names)]
    rows = pd.DataFrame([_row(view) for view in views], columns=columns)
    ordered: pd.DataFrame = rows.set_index("number").sort_index()
    return ordered


def _row(view: TrialView) -> dict[str, Any]:
    return {
        "number": view.number,
        "state": view.state,
        "fitness": view.best_fitness,
        "best_epoch": view.best_epoch,
        "epochs": view.last_epoch,
        "started": view.started,
        "ended": view.ended,
        "reason": view.reason,
        **{f"params_{name}": value for name, value in view.params.items()},
    }

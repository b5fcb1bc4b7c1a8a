"""Trials as a data frame."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from raytrainer.results.cost import cost
from raytrainer.results.feasibility import violation
from raytrainer.search.front import front

if TYPE_CHECKING:
    from raytrainer.config.layout import StudyFolder
    from raytrainer.search.views import TrialView

COLUMNS = (
    "number", "state", "fitness", "best_epoch", "epochs", "started", "ended", "reason", "gpu_hours", "cpu_hours",
    "trained",
)  # fmt: skip


def frame(
    folder: StudyFolder, views: Sequence[TrialView], subject_to: Sequence[str] = (), objectives: Sequence[str] = ()
) -> pd.DataFrame:
    """One row a trial, in order of their numbers, which are the index.

    Columns: `state`, `fitness` (best so far), `best_epoch`, `epochs` (done), `started`, `ended`, `reason` (of a
    failure), `gpu_hours` and `cpu_hours` (reserved), `trained` (the share of that time in which epochs were trained;
    see `Cost` for the three), and `params_<name>` for each searched parameter, missing where it was not active; the
    last value of one that changed. With constraints also `feasible`, and for each `violation_<text>`: by what share of
    its bound the best epoch violates it, 0 or less where it keeps it. With several objectives also
    `objective_<text>` for each, of which `fitness` is the first, and `on_front`.
    """
    names = list(dict.fromkeys(name for view in views for name in view.present))
    limits = ["feasible", *(f"violation_{text}" for text in subject_to)] if subject_to else []
    several = objectives if len(objectives) > 1 else ()
    goal = [*(f"objective_{text}" for text in several), "on_front"] if several else []
    members = {view.number for view in front(views)}
    columns = [*COLUMNS, *goal, *limits, *(f"params_{name}" for name in names)]
    made = [{**_row(folder, view), **_limits(view, subject_to), **_vector(view, several, members)} for view in views]
    rows = pd.DataFrame(made, columns=columns)
    ordered: pd.DataFrame = rows.set_index("number").sort_index()
    return ordered


def _row(folder: StudyFolder, view: TrialView) -> dict[str, Any]:
    taken = cost(folder, view.number)
    return {
        "number": view.number,
        "state": view.state,
        "fitness": view.best_fitness,
        "best_epoch": view.best_epoch,
        "epochs": view.last_epoch,
        "started": view.started,
        "ended": view.ended,
        "reason": view.reason,
        "gpu_hours": taken.gpu_hours,
        "cpu_hours": taken.cpu_hours,
        "trained": taken.share,
        **{f"params_{name}": value for name, value in view.present.items()},
    }


def _vector(view: TrialView, objectives: Sequence[str], members: Container[int]) -> dict[str, Any]:
    pairs = zip(objectives, view.objectives, strict=False)
    return {"on_front": view.number in members, **{f"objective_{text}": value for text, value in pairs}}


def _limits(view: TrialView, subject_to: Sequence[str]) -> dict[str, Any]:
    each = {f"violation_{text}": violation(view, place) for place, text in enumerate(subject_to)}
    known = [by for by in each.values() if by is not None]
    return {"feasible": max(known) <= 0 if known else None, **each} if subject_to else {}

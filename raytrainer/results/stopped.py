"""Why a study stopped by itself, and what to do: its trials fail alike, or none keeps the constraints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from raytrainer.results.announcement import shown

if TYPE_CHECKING:
    from raytrainer.config.layout import StudyFolder
    from raytrainer.search.views import TrialView


def stopped(broken: str, trials: Iterable[TrialView], folder: StudyFolder, going_on: str) -> str:
    """One line.

    Args:
        broken: the reason, see `search.first_failures.FirstFailures.broken`.
        trials: of the study.
        folder: its folder.
        going_on: how to go on once the reason is mended, as a sentence.
    """
    if any(broken.startswith(reason) for reason in excluded(trials)):
        return f"Stopped: no trial is trained: {broken}. Change subject_to, under another --name"
    return f"Stopped: every trial fails with {broken}. {going_on}; logs: {shown(folder.trials)}"


def excluded(trials: Iterable[TrialView]) -> list[str]:
    """Why trials were ended before their first epoch."""
    return [view.reason for view in trials if view.state == "pruned" and view.reason]

"""Constraints in words: which ones a trial violates, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raytrainer.search.views import TrialView


def violated(trial: TrialView, subject_to: Sequence[str]) -> str:
    """Such as `AP[Platelets] > 0.4 by 12 % of its bound`, of the best epoch; empty if nothing is violated."""
    pairs = zip(subject_to, trial.violated, strict=False)
    return ", ".join(f"{text} by {share(by)} of its bound" for text, by in pairs if by > 0)


def verdict(trial: TrialView, subject_to: Sequence[str]) -> str:
    """What there is to say of a best trial that violates something; empty if it does not."""
    which = violated(trial, subject_to)
    return f"INFEASIBLE: no trial keeps all constraints, this one violates them least: {which}" if which else ""


def asked_for(objectives: Sequence[str], subject_to: Sequence[str]) -> str:
    """The goal on one line: `mAP50-95 subject to latency_ms < 8, AP[Platelets] > 0.4`."""
    goal = ", ".join(objectives)
    return f"{goal} subject to {', '.join(subject_to)}" if subject_to else goal


def violation(trial: TrialView, place: int) -> float | None:
    """How far the constraint at a place is violated at the best epoch, 0 or less if it is kept.

    None if nobody knows, as of a trial that another constraint has ended before its first epoch.
    """
    if trial.violated:
        return trial.violated[place]
    before = trial.constraints[place] if trial.constraints else 0.0
    return before if before > 0 else None


def share(value: float) -> str:
    """A violation for reading, `0.3 %` or `31 %`."""
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"

"""What TPE is fitted on: trials compared at one fidelity."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

MOST = 300
"""Finished trials that TPE is fitted on, at most: its cost grows with them, its good group does not."""
GOOD = 25
"""Optuna's largest good group (`default_gamma`)."""


def at_one_fidelity(trials: Sequence[FrozenTrial], rungs: Sequence[int], enough: int) -> list[FrozenTrial]:
    """The trials as a single-fidelity model should see them (BOHB's rule, Falkner et al., arXiv 1807.01774).

    Chosen are those that completed, or, while those are fewer than `enough`, those that reached the highest rung with
    enough of them: each as a complete trial whose value is its best fitness up to there. Running trials that did not
    get there stay running. As many failed ones as were chosen are shown as the worst, the latest first.

    Args:
        trials: Optuna trials of a study that maximises, in the order of their numbers; left as they are.
        rungs: epochs, ascending; may be empty.
        enough: how many trials make a rung worth fitting.

    Returns:
        Trials in the order of their numbers, at most `MOST` of them finished.
    """
    chosen = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    for rung in reversed(rungs):
        if len(chosen) >= enough:
            break
        chosen = [_seen_at(trial, rung) for trial in trials if _reached(trial, rung)]
    taken = {trial.number for trial in chosen}
    running = [trial for trial in trials if trial.state == TrialState.RUNNING and trial.number not in taken]
    failed = [_as_worst(trial) for trial in trials if trial.state == TrialState.FAIL]
    chosen = _most_telling(chosen)
    return sorted(chosen + failed[len(failed) - min(len(failed), len(chosen)) :] + running, key=lambda t: t.number)


def _reached(trial: FrozenTrial, rung: int) -> bool:
    return trial.state != TrialState.FAIL and max(trial.intermediate_values, default=0) >= rung


def _seen_at(trial: FrozenTrial, rung: int) -> FrozenTrial:
    values = trial.intermediate_values
    by_then = [value for epoch, value in values.items() if epoch <= rung] or [values[min(values)]]
    return _as(trial, TrialState.COMPLETE, max(by_then))


def _as_worst(trial: FrozenTrial) -> FrozenTrial:
    """Optuna's TPE ranks a pruned trial without a curve behind all others."""
    worst = _as(trial, TrialState.PRUNED, None)
    worst.intermediate_values = {}
    return worst


def _as(trial: FrozenTrial, state: TrialState, value: float | None) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.state = state
    shown.values = None if value is None else [value]
    return shown


def _most_telling(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    if len(trials) <= MOST // 2:
        return trials
    best = sorted(trials, key=lambda trial: trial.value or 0.0, reverse=True)[:GOOD]
    kept = {trial.number for trial in best}
    latest = [trial for trial in trials if trial.number not in kept][-(MOST // 2 - GOOD) :]
    return best + latest

"""What Optuna's samplers are shown: failures as bad, and for TPE a long study as its best and latest trials."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from heapq import nlargest

from optuna.trial import FrozenTrial, TrialState

from raytrainer.config.constraints import total
from raytrainer.search.epoch_notes import CONSTRAINTS, told
from raytrainer.search.views import view_of

MOST = 300
"""Ended trials that TPE is fitted on, at most: its cost grows with them, its good group does not."""
GOOD = 25
"""Optuna's largest good group (`default_gamma`)."""


def thinned(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials of a study that maximises, as TPE should see them; the originals stay as they are.

    Optuna's TPE ranks complete trials by value, behind them pruned ones by how far they came and what they had there,
    behind these all that violate constraints by how much, and ignores failed ones, so that it would go on suggesting
    what always fails. Here failed trials are the worst, and violate each constraint as much as any: the latest ones, no
    more than there are others, so that they never make up its good group.

    Returns:
        Trials in the order of their numbers, at most `MOST` of them ended: the best `GOOD` and the latest others.
    """
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    violated = _worst_of(ended)
    failed = [_as_worst(trial, violated) for trial in trials if trial.state == TrialState.FAIL]
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if failed:
        ended = _by_number(ended + failed[max(0, len(failed) - len(ended)) :])
    kept = _best_and_latest(ended)
    return _by_number(kept + running)


def failures_counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials of a study that maximises, failed ones as complete with the worst value and violations that there are.

    For the samplers of Optuna that learn from complete trials alone. Without one there is no value to give.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        return list(trials)
    worst = min(trial.values[0] for trial in complete)
    violated = _worst_of(complete)
    return [_complete(trial, worst, violated) if trial.state == TrialState.FAIL else trial for trial in trials]


def as_pruned(trial: FrozenTrial) -> FrozenTrial:
    """A running trial with a curve as if it had ended, with its best value and what it violates."""
    ended = copy.copy(trial)
    ended.state, ended.values = TrialState.PRUNED, [max(trial.intermediate_values.values())]
    return _with_constraints(ended, view_of(trial).violated)


def _complete(trial: FrozenTrial, value: float, violated: Sequence[float]) -> FrozenTrial:
    ended = copy.copy(trial)
    ended.state, ended.values = TrialState.COMPLETE, [value]
    return _with_constraints(ended, violated)


def _with_constraints(trial: FrozenTrial, violated: Sequence[float]) -> FrozenTrial:
    if violated:
        trial.system_attrs = {**trial.system_attrs, CONSTRAINTS: list(violated)}
    return trial


def _worst_of(trials: Sequence[FrozenTrial]) -> list[float]:
    """The largest violation of each constraint; empty in a study without any."""
    return [max(each) for each in zip(*filter(None, map(told, trials)), strict=False)]


def _as_worst(trial: FrozenTrial, violated: Sequence[float]) -> FrozenTrial:
    """Optuna's TPE ranks a pruned trial without a curve behind all others that keep the constraints."""
    worst = copy.copy(trial)
    worst.state, worst.values, worst.intermediate_values = TrialState.PRUNED, None, {}
    return _with_constraints(worst, violated)


def _best_and_latest(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    if len(trials) <= MOST:
        return trials
    best = nlargest(GOOD, trials, key=_rank)
    chosen = {trial.number for trial in best}
    return best + [trial for trial in trials if trial.number not in chosen][GOOD - MOST :]


def _rank(trial: FrozenTrial) -> tuple[float, bool, int, float]:
    """Optuna's order of ended trials (`_split_trials` in samplers/_tpe/sampler.py), larger is better."""
    if violated := total(told(trial)):
        return -violated, False, 0, 0.0
    if trial.state == TrialState.COMPLETE:
        return 0.0, True, 0, trial.values[0]
    epoch, value = max(trial.intermediate_values.items(), default=(0, 0.0))
    return 0.0, False, epoch, value


def _by_number(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return sorted(trials, key=lambda trial: trial.number)

"""What Optuna's samplers are shown: failures as bad; for TPE trials at one rung, or of several objectives in order."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from heapq import nlargest

from optuna.trial import FrozenTrial, TrialState

from raytrainer.config.constraints import total
from raytrainer.search.epoch_notes import CONSTRAINTS, told
from raytrainer.search.front import places
from raytrainer.search.views import view_of

MOST = 300
"""Ended trials that TPE is fitted on, at most: its cost grows with them, its good group does not."""
GOOD = 25
"""Optuna's largest good group (`default_gamma`)."""
GOOD_OF_SEVERAL = 30
"""With several objectives it is a tenth."""
Rank = tuple[float, bool, int, float]


def at_one_rung(trials: Sequence[FrozenTrial], rungs: Sequence[int], enough: int) -> list[FrozenTrial]:
    """The trials of a study that maximises, as TPE should see them (BOHB's rule, Falkner et al., arXiv 1807.01774).

    Those that completed; while they are fewer than `enough`, also those that have come to the highest rung that enough
    have come to, each as complete with its best fitness up to there, and what it violated least by then. Optuna's own
    order, pruned trials behind complete ones by how far they came, takes for good what was merely trained for longer.
    On ten tasks of a surrogate, five seeds, its regret was 0.064 ± 0.020 and 0.066 ± 0.019 higher after 20 and 50 full
    trainings without the defaults first, and 0.021 ± 0.011 and 0.009 ± 0.013 lower with them.

    Optuna's TPE ignores failed trials, so that it would go on suggesting what always fails. Here they are the worst,
    and violate each constraint as much as any: the latest ones, no more than there are others, so that they never make
    up its good group. What was ruled out before its first epoch is there with what it violates.

    Args:
        trials: in the order of their numbers; they stay as they are.
        rungs: epochs, ascending; may be empty.
        enough: how many trials a model needs.

    Returns:
        Trials in the order of their numbers: of those compared and failed the best `GOOD` and the latest others, at
        most `MOST`, and those that run and are not among them.
    """
    there = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    for rung in reversed(rungs):
        if len(there) >= enough:
            break
        there = [_seen_at(trial, rung) for trial in trials if _reached(trial, rung)]
    taken = {trial.number for trial in there}
    running = [trial for trial in trials if trial.state == TrialState.RUNNING and trial.number not in taken]
    ruled_out = [trial for trial in trials if trial.state == TrialState.PRUNED and not trial.intermediate_values]
    return _by_number(_best_and_latest(_with_failed(there + ruled_out, trials), _rank, GOOD) + running)


def thinned_for_several(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """TPE's view of a study that maximises several objectives: complete trials and behind them pruned ones, of which
    only the values are compared; failures as by `at_one_rung`.

    Optuna's TPE would look at what pruned trials had at their ends, for which it asks which way the one objective goes.
    Without curves they are equals to it, and it takes the first of them: here those that came furthest, and of these
    the best placed (see `front.places`).

    Returns:
        Pruned trials behind all others.
    """
    ended, running = _failed_as_worst(trials)
    place = _places(ended)

    def rank(trial: FrozenTrial) -> Rank:
        complete = trial.state == TrialState.COMPLETE
        epoch = 0 if complete else max(trial.intermediate_values, default=0)
        return -total(told(trial)), complete, epoch, place.get(trial.number, -math.inf)

    kept = _best_and_latest(ended, rank, GOOD_OF_SEVERAL)
    pruned = sorted((trial for trial in kept if trial.state == TrialState.PRUNED), key=rank, reverse=True)
    others = [trial for trial in kept if trial.state != TrialState.PRUNED]
    return [*_by_number(others + running), *map(_without_curve, pruned)]


def ended_as_complete(trials: Sequence[FrozenTrial], *, stopped: bool) -> list[FrozenTrial]:
    """The trials of a study that maximises, failed ones as complete with the worst values and violations there are.

    For the samplers of Optuna that learn from complete trials alone. Without one there is no value to give. One that
    failed before it had parameters stays as it is: these samplers search what all complete trials have.

    Args:
        trials: all of a study; they stay as they are.
        stopped: whether those stopped early are complete as well, with what they had. Of one objective they should be:
            of 32 trials most are stopped, and a sampler that ignores them draws at random to the end. Of several they
            might beat what is complete, since not all objectives come with training.
    """
    valued = (TrialState.COMPLETE, TrialState.PRUNED) if stopped else (TrialState.COMPLETE,)
    complete = [trial for trial in trials if trial.state in valued and trial.values]
    if not complete:
        return list(trials)
    worst = [min(each) for each in zip(*(trial.values for trial in complete), strict=True)]
    violated = _worst_of(complete)

    def told_as(trial: FrozenTrial) -> FrozenTrial:
        if trial.state == TrialState.FAIL and trial.params:
            return _complete(trial, worst, violated)
        had = stopped and trial.state == TrialState.PRUNED and trial.values
        return _complete(trial, trial.values, ()) if had else trial

    return [told_as(trial) for trial in trials]


def as_pruned(trial: FrozenTrial) -> FrozenTrial:
    """A running trial with a curve as if it had ended, with its best value, or all objectives of its best epoch, and
    what it violates."""
    ended, view = copy.copy(trial), view_of(trial)
    best = view.objectives if view.others else (max(trial.intermediate_values.values()),)
    ended.state, ended.values, ended.datetime_complete = TrialState.PRUNED, list(best), trial.datetime_start
    return _with_constraints(ended, view.violated)


def _reached(trial: FrozenTrial, rung: int) -> bool:
    """Whether it has come there, or ended before of itself, as `patience` may end it."""
    last = max(trial.intermediate_values, default=0)
    return trial.state != TrialState.FAIL and last >= (1 if trial.state == TrialState.COMPLETE else rung)


def _seen_at(trial: FrozenTrial, rung: int) -> FrozenTrial:
    """As if it had ended at the rung, or at its first epoch if that was later."""
    ended, view = trial if trial.state.is_finished() else as_pruned(trial), view_of(trial)
    place = max(rung, min(view.values))
    return _complete(ended, [view.best_at(place) or 0.0], view.least_violated(place))


def _failed_as_worst(trials: Sequence[FrozenTrial]) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """Ended trials and of the failed ones some, and running ones."""
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    return _with_failed(ended, trials), [trial for trial in trials if trial.state == TrialState.RUNNING]


def _with_failed(ended: list[FrozenTrial], trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """With the latest of the failed ones as the worst, no more than there are others; but those that failed before they
    had parameters, since TPE searches together what all trials have."""
    failed = [trial for trial in trials if trial.state == TrialState.FAIL and trial.params]
    violated = _worst_of(ended)
    worst = [_as_worst(trial, violated) for trial in failed[max(0, len(failed) - len(ended)) :]]
    return _by_number(ended + worst) if worst else ended


def _without_curve(trial: FrozenTrial) -> FrozenTrial:
    bare = copy.copy(trial)
    bare.intermediate_values = {}
    return bare


def _complete(trial: FrozenTrial, values: Sequence[float], violated: Sequence[float]) -> FrozenTrial:
    ended = copy.copy(trial)
    ended.state, ended.values = TrialState.COMPLETE, list(values)
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


def _places(trials: Sequence[FrozenTrial]) -> dict[int, float]:
    """How trials with values compare to those that ended as they did and violate something or nothing too."""
    groups: dict[tuple[TrialState, bool], list[FrozenTrial]] = {}
    for trial in trials:
        if trial.values:
            groups.setdefault((trial.state, total(told(trial)) > 0), []).append(trial)
    pairs = (zip(group, places([trial.values for trial in group]), strict=True) for group in groups.values())
    return {trial.number: place for group in pairs for trial, place in group}


def _best_and_latest(trials: list[FrozenTrial], rank: Callable[[FrozenTrial], Rank], good: int) -> list[FrozenTrial]:
    if len(trials) <= MOST:
        return trials
    best = nlargest(good, trials, key=rank)
    chosen = {trial.number for trial in best}
    return best + [trial for trial in trials if trial.number not in chosen][good - MOST :]


def _rank(trial: FrozenTrial) -> Rank:
    """Optuna's order of complete and failed trials (`_split_trials` in samplers/_tpe/sampler.py), larger is better."""
    if violated := total(told(trial)):
        return -violated, False, 0, 0.0
    complete = trial.state == TrialState.COMPLETE
    return 0.0, complete, 0, trial.values[0] if complete else 0.0


def _by_number(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return sorted(trials, key=lambda trial: trial.number)

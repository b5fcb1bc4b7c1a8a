"""What a trial was worth by epoch, at the few epochs that are looked at."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from functools import cache

from optuna.trial import FrozenTrial, TrialState

from raytrainer.search.epoch_notes import violations_of

RATIO = 3.0
"""Between two epochs at which curves are looked at."""


def curve_of(trial: FrozenTrial, sign: float, full: int) -> dict[int, float]:
    """Best value so far by epoch, larger is better, and of a complete trial at its last one what it is worth.

    In plain Optuna that need not be the best of its curve. Where constraints are known by epoch, it is of the best one
    that keeps them, which are modelled by themselves. What a trial without a curve is worth is at `full`; nothing is
    known of a failed one.
    """
    if trial.state == TrialState.FAIL:
        return {}
    seen = finite(trial.intermediate_values)
    curve = {at: sign * seen[best] for at, best in best_by_then(seen, sign, full).items()}
    worth = trial.values[0] if trial.values else math.nan
    told = trial.state == TrialState.COMPLETE and not violations_of(trial)
    if math.isfinite(worth) and (told or not curve):
        curve[max(curve, default=full)] = sign * worth
    return curve


def finite(values: Mapping[int, float]) -> Mapping[int, float]:
    """Those of a curve that are."""
    if math.isfinite(sum(values.values())):  # then each of them is, and this is faster
        return values
    return {at: value for at, value in values.items() if math.isfinite(value)}


def best_by_then(values: Mapping[int, float], sign: float, full: int) -> dict[int, int]:
    """Of a curve of finite values, the epochs that are looked at, and for each the last of the best ones up to it."""
    if not values:
        return {}
    epochs = sorted(values)
    upwards = [sign * values[at] for at in epochs]
    found, begin, best = {}, 0, 0
    for end in _ends(epochs, full):
        stretch = upwards[begin:end]
        if (highest := max(stretch)) >= upwards[best]:
            best = end - 1 - stretch[::-1].index(highest)
        found[epochs[end - 1]], begin = epochs[best], end
    return found


def _ends(epochs: list[int], full: int) -> tuple[int, ...]:
    """How many epochs there are up to each that is looked at, ascending; `epochs` are those of a curve."""
    if epochs[0] == 1 and epochs[-1] == len(epochs):
        return _ends_of_all(len(epochs), full)
    ends = {bisect_right(epochs, level) for level in epochs_to_look_at(full)} | {len(epochs)}
    return tuple(sorted(ends - {0}))


@cache
def _ends_of_all(last: int, full: int) -> tuple[int, ...]:
    """The same where no epoch was left out; as there is one for each curve, what is seen often is kept."""
    return tuple(sorted({min(level, last) for level in epochs_to_look_at(full)} | {last}))


@cache
def epochs_to_look_at(full: int) -> tuple[int, ...]:
    """Epochs in geometric progression, ascending, the last one that of a full run."""
    epochs = [full]
    while epochs[-1] > 1:
        epochs.append(max(1, min(epochs[-1] - 1, round(epochs[-1] / RATIO))))
    return tuple(reversed(epochs))

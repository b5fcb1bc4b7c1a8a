"""At which epochs trials are compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raytrainer.config.space import Space
from raytrainer.search.grace import highest, unfrozen, warm_up
from raytrainer.search.views import TrialView


def rungs(first: int, last: int, reduction_factor: int) -> tuple[int, ...]:
    """Rungs `first * reduction_factor**k` below `last`, the epochs of a full run; none if `first` is no earlier.

    Raises:
        ValueError: if `first` is below 1 or `reduction_factor` below 2.
    """
    if first < 1 or reduction_factor < 2:
        raise ValueError(f"first rung {first} and reduction factor {reduction_factor} must be at least 1 and 2")
    levels = []
    while first < last:
        levels.append(first)
        first *= reduction_factor
    return tuple(levels)


def rungs_of(space: Space) -> tuple[int, ...]:
    """The rungs of a study, from its `min_epochs`, epochs and reduction factor."""
    return rungs(first_rung(space), full_length(space), space.search.reduction_factor)


def full_length(space: Space) -> int:
    """Epochs of a full run, the longest one if they are searched."""
    return int(highest(space, "epochs"))


def first_rung(space: Space) -> int:
    """The first epoch, counted from 1, at which a trial may be stopped.

    `search.min_epochs` if given. Else the first epoch after warm-up and after all layers that are frozen at the start
    train again, since curves before them mean little, or a 27th of a full run where that is later, so that a long
    run has no more than about four rungs. What is searched of these counts with its highest value (see `grace`).
    """
    if space.search.min_epochs is not None:
        return space.search.min_epochs
    return max(warm_up(space) + 1, unfrozen(space) + 1, math.ceil(full_length(space) / 27))


def settled(levels: Sequence[int], baseline: TrialView) -> dict[int, int]:
    """For each rung the epoch at which trials are compared there.

    It is the rung itself, or where the baseline dips, as curves do after warm-up, the epoch at which it has recovered.
    A rung that the baseline does not recover from before the next one is left out; after the last epoch that it has
    reported it counts as recovered by the next. A fall that it ends without recovering from was no dip, so that every
    rung there is one again.
    """
    places = {}
    for rung, following in zip(levels, [*levels, math.inf][1:], strict=True):
        place = rung
        while place in baseline.dips:
            place += 1
        if place < following:
            places[rung] = place
    return places

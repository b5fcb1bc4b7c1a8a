"""When a study has found enough: its model expects less than a stated gain of all that is left.

The rule waits for `LEAST_COMPLETE` trials of full length, since what a trial beyond the best would be worth follows
from how far the best lie apart, and for `PATIENCE` further trials of which as little was expected, since a model that
has just learnt its scales may be sure of itself by chance. By `benchmarks/budgets.py`, beside the same study without
(ten tasks of a surrogate, two seeds, four workers, the epochs of 50 full trainings; accuracy in percent, noise its
standard deviation in every epoch; means with their standard errors):

| min_gain | noise | ended early | epochs saved | accuracy lost | regret added |
|---|---|---|---|---|---|
| 0.05 | 0 | 13 of 20 | 33 ± 6 % | 0.09 ± 0.07 | 0.005 ± 0.003 |
| 0.2 | 0 | 17 of 20 | 49 ± 6 % | 0.20 ± 0.10 | 0.013 ± 0.007 |
| 1 | 0 | 20 of 20 | 71 ± 2 % | 0.61 ± 0.21 | 0.034 ± 0.010 |
| 0.05 | 0.5 | 9 of 20 | 19 ± 6 % | -0.01 ± 0.01 | 0.000 ± 0.001 |
| 0.2 | 0.5 | 17 of 20 | 47 ± 6 % | 0.07 ± 0.09 | 0.003 ± 0.004 |
| 1 | 0.5 | 20 of 20 | 64 ± 3 % | 0.18 ± 0.11 | 0.012 ± 0.006 |

What is expected is a mean, and no more than the model knows by then (see `gp.gain`): a single study lost up to 1.3, 1.6
and 3.6 points with 0.05, 0.2 and 1.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raytrainer.config.space import Search
from raytrainer.search.views import TrialView

LEAST_COMPLETE = 5
PATIENCE = 4
GAIN = "gain"
"""Note of a trial that was begun: what was expected of it and of all that were to come after it."""
ENOUGH = "enough"
"""Attribute of a study that has found enough: an `Enough`."""


@dataclass(frozen=True)
class Enough:
    """Why a study began no more trials."""

    gain: float
    """What was expected of the rest, in fitness."""
    trials: int
    """How many those were."""
    asked: Mapping[str, Any]
    """What was asked for by then: it holds no longer than that."""

    @classmethod
    def kept(cls, attrs: Mapping[str, Any], search: Search) -> Enough | None:
        """What a study's attributes say; None if nothing, or if something else is asked for now."""
        found = cls(**attrs[ENOUGH]) if ENOUGH in attrs else None
        return found if found is not None and found.asked == _asked(search) else None

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    def __str__(self) -> str:
        """In words: `0.0011 more fitness was expected of 40 further trials, less than search.min_gain (0.002)`."""
        told = f"{self.gain:.2g} more fitness was expected of {self.trials} further trials"
        return f"{told}, less than search.min_gain ({self.asked['min_gain']:g})"


def enough(search: Search, views: Sequence[TrialView], gain: float | None, trials: int) -> Enough | None:
    """Whether no trial is begun any more, now that so little is expected of so many further ones."""
    least = search.min_gain
    noted = [view.notes.get(GAIN, math.inf) for view in views[-PATIENCE:]]
    if gain is None or least is None or max([gain, *noted]) >= least:
        return None
    return Enough(gain, trials, _asked(search))


def further_trials(views: Sequence[TrialView], full: int, epochs: float, most: float) -> int:
    """How many trials so many epochs are for, if they go on to be as long as those that have ended; at most `most`."""
    lengths = [view.last_epoch for view in views if view.state in ("complete", "pruned") and view.values]
    count = min(epochs / (statistics.fmean(lengths) if lengths else full), most)
    return int(count) if math.isfinite(count) else 0


def _asked(search: Search) -> dict[str, Any]:
    return {"min_gain": search.min_gain, "trials": search.most_trials, "budget": search.budget.given}

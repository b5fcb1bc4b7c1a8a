"""A cluster in virtual time: workers that train an epoch in one tick each, and a search that they ask for trials."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Search(Protocol):
    """A search as a driver sees it."""

    def ask(self) -> tuple[int, Mapping[str, Any]] | None:
        """The next trial's number, from 0, and its parameters; that of one that had paused, which goes on.

        None if there is none now: a worker that is idle asks again after every epoch.
        """
        ...

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Takes the value of an epoch, counted from 1; whether the trial goes on now."""
        ...

    def fail(self, number: int) -> None:
        """The trial crashed."""
        ...


@dataclass
class Outcome:
    """What a search had found when each of the budgets was spent."""

    found: list[float] = field(default_factory=list)
    """The true last value of the trial with the best value seen at any epoch; or at its end, if that is sooner."""
    trials: int = 0


def simulate(
    search: Search,
    curve: Callable[[Mapping[str, Any]], Array],
    budgets: Sequence[int],
    workers: int,
    *,
    noise: float = 0.0,
    failing: float = 0.0,
    seed: int = 0,
) -> Outcome:
    """Runs a search until the last budget is spent, or until no trial runs and it has none.

    Args:
        search: what is measured.
        curve: true values of a configuration by epoch.
        budgets: epochs of all trials together, ascending.
        workers: trials at once.
        noise: standard deviation of what is added to every value that the search sees.
        failing: share of the trials that crash, at an epoch drawn evenly.
        seed: of the noise and the crashes.
    """
    rng = np.random.default_rng(seed)
    outcome, best, spent = Outcome(), (-np.inf, np.nan), 0
    running: list[tuple[int, int]] = []
    trials: dict[int, _Trial] = {}

    def fill(now: int) -> None:
        while len(running) < workers and (asked := search.ask()) is not None:
            number, params = asked
            if number not in trials:
                true = curve(params)
                crash = int(rng.integers(len(true))) + 1 if rng.random() < failing else None
                trials[number] = _Trial(true, true + noise * rng.standard_normal(len(true)), crash)
            heapq.heappush(running, (now + 1, number))

    fill(0)
    while running and len(outcome.found) < len(budgets):
        now, number = heapq.heappop(running)
        trial = trials[number]
        trial.epoch, spent = trial.epoch + 1, spent + 1
        seen = trial.seen[trial.epoch - 1]
        if trial.epoch == trial.crash:
            search.fail(number)
            goes_on = False
        else:
            best = max(best, (seen, trial.true[-1]))
            goes_on = search.report(number, trial.epoch, float(seen))
        while len(outcome.found) < len(budgets) and spent >= budgets[len(outcome.found)]:
            outcome.found.append(float(best[1]))
        if goes_on:
            heapq.heappush(running, (now + 1, number))
        fill(now)
    outcome.found += [float(best[1])] * (len(budgets) - len(outcome.found))
    outcome.trials = len(trials)
    return outcome


@dataclass
class _Trial:
    true: Array
    seen: Array
    crash: int | None
    epoch: int = 0

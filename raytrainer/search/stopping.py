"""Early stopping: pure rules over the trials' curves, so that a restarted driver decides as an undisturbed one.

A rule sees nothing but the views of the study and keeps nothing between two decisions; what a later one has to know of
an earlier moment, the study notes for it (see `Decider.alone`). Trials are compared by their best fitness so far, and
by what they violate (see `standings`). The baseline, trial 0, is never stopped: its full length is what every other
trial is held against. Where its own curve dips, a rung waits until it has recovered, since curves mean little there. A
fitness that is not finite never reaches a rule; the study fails such a trial at that epoch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from statistics import median
from typing import ClassVar, Protocol

from raytrainer.config.space import Space
from raytrainer.search.population import HandOver, Notebook, Population
from raytrainer.search.rungs import first_rung, rungs_of, settled
from raytrainer.search.standings import arrived, standings
from raytrainer.search.views import ALONE, BASELINE, TrialView

STARTUP = 5
"""Complete trials that the median rule waits for."""


class Decider(Protocol):
    """A stopping rule, or one that pauses."""

    pauses: ClassVar[bool]
    """Whether trials that are given up are paused; else they have ended."""

    def decide(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether trial `number` is given up, now that `epoch` is in its curve. `views[i]` is trial i."""
        ...

    def alone(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether too few trials are where trial `number` is at `epoch` for a decision that it could rely on."""
        ...

    def promote(self, views: Sequence[TrialView]) -> int | None:
        """The paused trial that is to go on before a new one begins, if any."""
        ...

    def turn(self, views: Sequence[TrialView], notebook: Notebook, hand_over: HandOver) -> Collection[int]:
        """What has to happen before a paused trial goes on (see `Population.turn`); the trials that it changes."""
        ...


class _Separate:
    """What rules have in common by which each trial has a state of its own."""

    def alone(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:  # noqa: ARG002
        """Always False: no decision is put off."""
        return False

    def turn(self, views: Sequence[TrialView], notebook: Notebook, hand_over: HandOver) -> Collection[int]:  # noqa: ARG002
        """Nothing."""
        return ()


class _Stopping(_Separate):
    """What rules have in common that pause nobody."""

    pauses: ClassVar[bool] = False

    def promote(self, views: Sequence[TrialView]) -> int | None:  # noqa: ARG002
        """None: nobody is paused."""
        return None


@dataclass(frozen=True)
class Never(_Stopping):
    """Every trial runs to its end."""

    def decide(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:  # noqa: ARG002
        """Always False."""
        return False


@dataclass(frozen=True)
class Asha(_Stopping):
    """Asynchronous successive halving in its stopping form (Li et al., arXiv 1810.05934).

    A trial is judged at its first report on or past a rung: it goes on if its best fitness up to the rung is at least
    the quantile `1 - 1/reduction_factor`, interpolated, of the other trials that have reached the rung. The first to
    come to a rung passes it, and few comparisons are weak ones, so a trial is judged again once `reduction_factor`
    trials are there: at each later report before the next rung while the rung holds less than twice as many; at the
    first one by when it has filled, however far ahead of the others the trial was; and if it is among the first that
    hold it by number, at its next report, by when those have come that run in step with it. To judge every trial twice
    finds less with eight workers.
    """

    rungs: tuple[int, ...]
    """Epochs at which trials are compared, ascending."""
    reduction_factor: int

    def decide(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether the trial falls behind the others at its highest rung."""
        places = settled(self.rungs, views[BASELINE]).values()
        return _falls_behind(views[number], epoch, views, places, self.reduction_factor)

    def alone(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether fewer than `reduction_factor` trials have reached its highest rung; never for the baseline."""
        places = settled(self.rungs, views[BASELINE]).values()
        return number != BASELINE and _is_alone(epoch, views, places, self.reduction_factor)


@dataclass(frozen=True)
class Hyperband(_Stopping):
    """Asynchronous Hyperband: several ASHA brackets, each with a later first rung (Li et al., arXiv 1603.06560).

    A trial's bracket is a function of its number, in the proportions of Hyperband's own bracket sizes; trials are
    compared within their bracket only. The last bracket has no rung: its trials run to their end.
    """

    rungs: tuple[int, ...]
    reduction_factor: int

    def decide(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether ASHA stops the trial within its bracket."""
        return _falls_behind(views[number], epoch, *self._contest(number, views), self.reduction_factor)

    def alone(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether fewer than `reduction_factor` trials of the bracket have reached its highest rung; see `Asha`."""
        return number != BASELINE and _is_alone(epoch, *self._contest(number, views), self.reduction_factor)

    def bracket(self, number: int) -> int:
        """The bracket of trial `number`: 0 starts at the first rung, `len(rungs)` has none."""
        return _bracket(number, len(self.rungs), self.reduction_factor)

    def _contest(self, number: int, views: Sequence[TrialView]) -> tuple[list[TrialView], Collection[int]]:
        """The trials of a trial's bracket, itself among them, and where they are compared."""
        mine = self.bracket(number)
        rivals = [view for view in views if self.bracket(view.number) == mine]
        return rivals, settled(self.rungs[mine:], views[BASELINE]).values()


@dataclass(frozen=True)
class Median(_Stopping):
    """The median rule (Golovin et al., Google Vizier, KDD 2017), on best values instead of running means.

    A trial stops at an epoch, from `min_epochs` on, where its best fitness so far is below the median of what the
    others had by that epoch, once `startup` trials have completed; not at one where the baseline dips.
    """

    min_epochs: int
    startup: int = STARTUP

    def decide(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether the trial is below the median of the others at this epoch."""
        if number == BASELINE or epoch < self.min_epochs or not views[number].values:
            return False
        if epoch in views[BASELINE].dips or sum(view.state == "complete" for view in views) < self.startup:
            return False
        others = standings(views, epoch)
        mine = others.pop(number)
        return bool(others) and mine < median(others.values())


@dataclass(frozen=True)
class Promotion(_Separate):
    """Asynchronous successive halving in its original form (Li et al., arXiv 1810.05934): nobody ends, the best go on.

    A trial pauses at its first report on or past a rung, unless it is the one to go on from there. That is, of the
    trials that have reached the highest possible rung, one of the best `1/reduction_factor` that is still paused there,
    by its best fitness up to the rung.
    """

    rungs: tuple[int, ...]
    reduction_factor: int
    pauses: ClassVar[bool] = True

    def decide(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether the trial has come to a rung and another one, or a new one, is to use its place."""
        trial, places = views[number], settled(self.rungs, views[BASELINE])
        rung = max((rung for rung, place in places.items() if place <= epoch), default=0)
        arrives = rung > trial.promoted and not any(places[rung] <= earlier < epoch for earlier in trial.values)
        if number == BASELINE or not arrives:
            return False
        return self._next(views, arrived=number) != number

    def promote(self, views: Sequence[TrialView]) -> int | None:
        """The best paused trial of the highest rung that has one among its best."""
        return self._next(views, arrived=None)

    def _next(self, views: Sequence[TrialView], arrived: int | None) -> int | None:
        """The trial to go on, if `arrived` is counted as paused."""
        if arrived is None and not any(view.state == "paused" for view in views):
            return None
        places = settled(self.rungs, views[BASELINE])
        for rung in sorted(places, reverse=True):
            above = [later for later in places if later > rung]
            for view in self._best_at(rung, places[rung], views):
                here = not above or view.last_epoch < places[min(above)]
                waits = view.state == "paused" or view.number == arrived
                if waits and here and view.promoted < rung:
                    return view.number
        return None

    def _best_at(self, rung: int, place: int, views: Sequence[TrialView]) -> list[TrialView]:
        """One in `reduction_factor` of those that have reached a rung, the best first."""
        there = standings(views, place, reached=rung)
        order = sorted(there, key=lambda number: (-there[number], number))
        return [views[number] for number in order[: len(there) // self.reduction_factor]]


def decider_of(space: Space) -> Decider:
    """The stopping rule that a space asks for."""
    if space.search.schedule is not None:
        return Population(space)
    search, levels = space.search, rungs_of(space)
    rules: dict[str, Decider] = {
        "asha": Asha(levels, search.reduction_factor),
        "asha-promote": Promotion(levels, search.reduction_factor),
        "hyperband": Hyperband(levels, search.reduction_factor),
        "median": Median(first_rung(space)),
        "none": Never(),
    }
    return rules[search.pruner]


def _falls_behind(
    trial: TrialView, epoch: int, rivals: Sequence[TrialView], rungs: Iterable[int], reduction_factor: int
) -> bool:
    """Whether ASHA stops a trial among `rivals`, of which it is one."""
    rung = _reached(rungs, epoch)
    if trial.number == BASELINE or rung is None:
        return False
    there = standings(rivals, rung)
    if (mine := there.pop(trial.number, None)) is None:
        return False
    others = list(there.values())
    since = [earlier for earlier in trial.values if rung <= earlier < epoch]
    first = sum(number < trial.number for number in there) + 1 < 2 * reduction_factor
    filling = len(others) + 1 < 2 * reduction_factor
    again = filling or (len(since) == 1 and first) or trial.notes.get(ALONE) == max(since, default=None)
    judged = not since or (again and len(others) + 1 >= reduction_factor)
    return bool(others) and judged and mine < _quantile(others, 1 - 1 / reduction_factor)


def _is_alone(epoch: int, rivals: Sequence[TrialView], rungs: Iterable[int], reduction_factor: int) -> bool:
    """Whether the highest rung up to `epoch` holds too few trials for a decision."""
    rung = _reached(rungs, epoch)
    if rung is None:
        return False
    return len(list(islice(arrived(rivals, rung), reduction_factor))) < reduction_factor  # whoever is ahead


def _reached(rungs: Iterable[int], epoch: int) -> int | None:
    return max((rung for rung in rungs if rung <= epoch), default=None)


def _quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, linear between two of them."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (place - math.floor(place)) * (high - low)


@cache
def _bracket(number: int, last: int, reduction_factor: int) -> int:
    """Bracket sizes as in Hyperband, dealt out evenly: each trial goes where the share lags furthest behind."""
    sizes = [math.ceil((last + 1) / (last - s + 1) * reduction_factor ** (last - s)) for s in range(last + 1)]
    dealt = [0] * (last + 1)
    for turn in range(number % sum(sizes) + 1):
        lag = [size * (turn + 1) / sum(sizes) - have for size, have in zip(sizes, dealt, strict=True)]
        chosen = lag.index(max(lag))
        dealt[chosen] += 1
    return chosen

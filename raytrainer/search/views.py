"""What everyone else may know about a trial: frozen views, cheap to take while the study is being written."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from raytrainer.config.constraints import total
from raytrainer.config.parameters import Scalar
from raytrainer.search.epoch_notes import others_of, told, violations_of

Ending = Literal["complete", "pruned", "failed"]
State = Ending | Literal["running", "paused"]

STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
ENDINGS: dict[Ending, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
BASELINE = 0
"""Number of the trial that runs the space's defaults."""
REASON = "reason"
PAUSED = "paused"
"""Note of a trial that Optuna has as running: the last epoch at which it was paused."""
PROMOTED = "promoted"
"""Note: the last epoch at which it was paused and has gone on from."""
CUT = "cut"
"""Note: the last epoch at which it was paused since the budget was spent."""
ALONE = "alone"
"""Note: the last epoch at which too few trials had come as far for its rule to judge it (see `Decider.alone`)."""
LINEAGE = "lineage"
"""Note of a trial of a population that has gone on from another's checkpoint: its stages, each as in `Stage`."""
INHERITED = "inherited"
"""Note beside it: the fitness by epoch of the lineage up to then, which took the place of the trial's own."""
DIP = 0.25
"""Share of its range so far by which a curve in a dip is below its best: more than noise, less than a fall."""


@dataclass(frozen=True)
class Stage:
    """A part of a training that has values of its own."""

    epoch: int
    """Epochs done before it."""
    trial: int
    """From whose checkpoint it goes on; of the first stage, who began the lineage."""
    values: Mapping[str, Scalar]
    """All that are searched."""


@dataclass(frozen=True)
class TrialView:
    """One trial as the study holds it at one moment. Fitness is maximised and always finite."""

    number: int
    """Counted from 0; `BASELINE` is the space's default configuration."""
    state: State
    params: Mapping[str, Scalar]
    """The searched parameters that were active; those that the trial began with, if it is one of a population."""
    values: Mapping[int, float] = field(default_factory=dict)
    """Fitness by epoch, epochs counted from 1; of its lineage, if it has gone on from another trial's checkpoint."""
    best_fitness: float | None = None
    """Fitness of `best_epoch`; None before the first validated epoch."""
    best_epoch: int | None = None
    """The last of the best epochs so far, the one whose weights are in best.pt: of the best fitness among those that
    violate no constraint; if there is none, the one that violates least."""
    reason: str | None = None
    """Why a failed trial failed, or one was pruned without an epoch; None for every other trial."""
    started: datetime | None = None
    """Local time, as Optuna keeps it."""
    ended: datetime | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What `Study.note` wrote."""
    violations: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """By epoch, how far each constraint was violated (see `config.constraints`); empty in a study without any."""
    others: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """By epoch, all objectives but the first, which is the fitness; empty in a study of one."""
    constraints: Sequence[float] = ()
    """What Optuna is told of them once the trial has ended: those of the best epoch; of a trial that was pruned before
    its first epoch, those that were known."""
    trained: Mapping[int, float] = field(default_factory=dict, repr=False)
    """Fitness by epoch as it was trained in this trial's place, also where that of a lineage has taken its place."""

    @property
    def objectives(self) -> tuple[float, ...]:
        """What each is at the best epoch, the fitness first; empty before the first epoch."""
        return () if self.best_fitness is None else (self.best_fitness, *self.others.get(self.best_epoch or 0, ()))

    @property
    def violated(self) -> Sequence[float]:
        """How far each constraint is violated by the best epoch; empty in a study without any, and before an epoch."""
        return self.violations.get(self.best_epoch or 0, ())

    @property
    def feasible(self) -> bool:
        """Whether the best epoch violates no constraint."""
        return not total(self.violated)

    @property
    def promoted(self) -> int:
        """The last epoch at which it was paused and went on from, 0 before the first."""
        return int(self.notes.get(PROMOTED, 0))

    @property
    def cut(self) -> bool:
        """Whether it is paused since the budget was spent."""
        return self.state == "paused" and bool(self.notes.get(CUT) == self.notes.get(PAUSED))

    @cached_property
    def lineage(self) -> tuple[Stage, ...]:
        """The stages that led to it, the first of which began the training; one, if no values have changed."""
        known = self.notes.get(LINEAGE)
        return tuple(Stage(**stage) for stage in known) if known else (Stage(0, self.number, self.params),)

    @property
    def present(self) -> Mapping[str, Scalar]:
        """The values that it trains with now."""
        return self.lineage[-1].values

    @cached_property
    def last_epoch(self) -> int:
        """The last epoch that was reported, 0 before the first."""
        return max(self.values, default=0)

    def best_at(self, epoch: int) -> float | None:
        """Best fitness up to and including `epoch`; None if nothing was reported by then."""
        epochs, best = self._running_best
        reached = bisect_right(epochs, epoch)
        return best[reached - 1] if reached else None

    def objectives_at(self, epoch: int) -> tuple[float, ...]:
        """All objectives at the last of the epochs up to and including `epoch` with the best fitness; none before."""
        epochs, _ = self._running_best
        reached = bisect_right(epochs, epoch)
        best = self._best_epochs[reached - 1] if reached else 0
        return (self.values[best], *self.others.get(best, ())) if reached else ()

    def least_violated(self, epoch: int) -> Sequence[float]:
        """The least that each constraint was violated by the end of `epoch`; empty before the first one."""
        reached = [each for at, each in self.violations.items() if at <= epoch]
        return [min(values) for values in zip(*reached, strict=True)]

    @cached_property
    def ever_kept(self) -> Sequence[bool]:
        """For each constraint, whether any epoch kept it."""
        return [min(values) <= 0 for values in zip(*self.violations.values(), strict=True)]

    @cached_property
    def dips(self) -> frozenset[int]:
        """Epochs at which the curve was far below its own best by then, from which it has recovered or may still."""
        epochs, best = self._running_best
        deep = DIP * (best[-1] - min(self.values.values())) if best else 0.0
        low = {epoch for epoch, top in zip(epochs, best, strict=True) if self.values[epoch] < top - deep}
        ended = self.state not in ("running", "paused")
        recovered = max((epoch for epoch in epochs if epoch not in low), default=0)
        return frozenset(epoch for epoch in low if epoch < recovered or not ended)

    @cached_property
    def _best_epochs(self) -> list[int]:
        """Of each epoch, ascending, the best one by then."""
        best = sorted(self.values)
        for place, at in enumerate(best[1:], start=1):
            best[place] = at if self.values[at] >= self.values[best[place - 1]] else best[place - 1]
        return best

    @cached_property
    def _running_best(self) -> tuple[list[int], list[float]]:
        epochs = sorted(self.values)
        return epochs, list(accumulate((self.values[epoch] for epoch in epochs), max))


def view_of(trial: FrozenTrial) -> TrialView:
    """The view of one Optuna trial."""
    values, violations = _curve(trial), violations_of(trial)
    best_epoch = best_of_epochs(values, violations)
    notes = dict(trial.user_attrs)
    reason = notes.pop(REASON, None)
    state: State = "paused" if is_paused(trial) else STATES[trial.state]
    return TrialView(
        number=trial.number,
        state=state,
        params=trial.params,
        values=values,
        best_fitness=None if best_epoch is None else values[best_epoch],
        best_epoch=best_epoch,
        reason=reason if state in ("failed", "pruned") else None,
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        notes=notes,
        violations=violations,
        others=others_of(trial),
        constraints=told(trial),
        trained=dict(trial.intermediate_values) if INHERITED in notes else values,
    )


def best_of_epochs(values: Mapping[int, float], violations: Mapping[int, Sequence[float]]) -> int | None:
    """The last of the best epochs of a curve (see `TrialView.best_epoch`); None if it is empty."""
    if not violations:
        return max(values, key=lambda epoch: (values[epoch], epoch), default=None)
    return max(values, key=lambda epoch: (*standing(values[epoch], violations.get(epoch, ())), epoch), default=None)


def standing(fitness: float, violations: Sequence[float]) -> tuple[bool, float]:
    """What orders epochs, and trials of one length: whether nothing is violated; then the fitness, or how little is."""
    violated = total(violations)
    return (False, -violated) if violated else (True, fitness)


def _curve(trial: FrozenTrial) -> dict[int, float]:
    """The fitness by epoch: a lineage's where it is known, in place of what the trial had before it took it over."""
    inherited = {int(epoch): value for epoch, value in trial.user_attrs.get(INHERITED, {}).items()}
    taken = max(inherited, default=0)
    return inherited | {epoch: value for epoch, value in trial.intermediate_values.items() if epoch > taken}


def is_paused(trial: FrozenTrial) -> bool:
    """Whether a trial that Optuna has as running is paused."""
    notes = trial.user_attrs
    return bool(trial.state == TrialState.RUNNING and notes.get(PAUSED, 0) > notes.get(PROMOTED, 0))


def best_of(views: Iterable[TrialView]) -> TrialView | None:
    """The trial with the best fitness among those of full length; among unfinished and pruned ones if there is none.

    Only trials count that violate no constraint, of whatever length, unless the study has none: then it is the one that
    violates least. A failed trial is never the best. Of equals, the one with the better other objectives, else the
    first. None if no trial has a fitness.
    """
    return max(scored(views), key=rank, default=None)


def scored(views: Iterable[TrialView]) -> list[TrialView]:
    """Those that have a fitness and have not failed."""
    return [view for view in views if view.best_fitness is not None and view.state != "failed"]


def rank(view: TrialView) -> tuple[bool, bool, tuple[bool, float], tuple[float, ...], int]:
    """What orders trials that have a fitness, larger is better; those of equal fitness by the other objectives."""
    fitness, *others = view.objectives
    complete = view.state == "complete"
    return view.feasible, complete, standing(fitness, view.violated), tuple(others), -view.number

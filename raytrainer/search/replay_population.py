"""A population's generations decided again, from nothing but what the study held when each was decided.

It holds all of that to its end: the first values, every fitness of the trial in whose place it was trained, and the
decisions before. A decision is drawn from these again, not from what stands in its record, and what the record says is
held against it; so is the lineage that each trial has come to. Only who took part is taken from the record: a trial
whose failure was held back is missing from one generation, and may be there again in the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from raytrainer.config.parameters import Scalar
from raytrainer.config.population import boundaries
from raytrainer.config.space import Space
from raytrainer.search.population import Clone, Generation, Member, spared
from raytrainer.search.views import Stage, TrialView

SOURCE = "the trial it goes on from"
FITNESS = "fitness"
LINEAGE = "its lineage"
UNKNOWN = "the study keeps no record of it"
AFTER_UNKNOWN = "the study keeps no record of one before it"

_Row = Mapping[str, Scalar]


@dataclass(frozen=True)
class Difference:
    """What a study holds of a generation, and what comes out now."""

    trial: int
    key: str
    """A parameter, `SOURCE` or the like."""
    held: Scalar
    again: Scalar


@dataclass(frozen=True)
class Redecided:
    """One generation of a study, and what is decided in its place today."""

    epoch: int
    """Its last one, counted from 1."""
    held: Generation | None
    """As the study keeps it."""
    differences: tuple[Difference, ...] = ()
    undrawn: str | None = None
    """Why it was not decided again; None if it was."""

    @property
    def agrees(self) -> bool:
        """Whether it was decided again, with the same to the last digit."""
        return not self.undrawn and not self.differences

    def of_trial(self, number: int) -> Redecided | None:
        """What concerns one trial, which went on from another or differs; None if it had no part in it."""
        differences = tuple(each for each in self.differences if each.trial == number)
        if self.held is None:
            return self
        clones = tuple(clone for clone in self.held.clones if clone.trial == number)
        if not differences and not clones and number not in {member.trial for member in self.held.members}:
            return None
        return replace(self, held=replace(self.held, clones=clones), differences=differences)


def redecide(space: Space, views: Sequence[TrialView], held: Sequence[Generation]) -> Iterator[Redecided]:
    """Each generation, by epoch, decided again by Ray's own schedulers, which are imported for it, not started.

    Args:
        space: the study's.
        views: all its trials, by number.
        held: the generations that it keeps, by epoch.
    """
    kept, then = {generation.epoch: generation for generation in held}, _Then(views)
    missing = _passed(space, views) - kept.keys()
    noted = [] if missing else list(_of_notes(views, held))
    for epoch in sorted(kept.keys() | missing):
        generation = kept.get(epoch)
        if generation is None or epoch > min(missing, default=epoch):
            yield Redecided(epoch, generation, undrawn=AFTER_UNKNOWN if generation else UNKNOWN)
            continue
        of_notes = (difference for at, difference in noted if at == epoch)
        yield Redecided(epoch, generation, (*_differences(generation, then.decide(space, generation)), *of_notes))
        then.go_on(generation)


def _passed(space: Space, views: Sequence[TrialView]) -> set[int]:
    """Where a generation has gone over into the next, as the trials have it."""
    furthest = max((view.promoted for view in views), default=0)
    stages = {stage.epoch for view in views for stage in view.lineage[1:]}
    return stages | {epoch for epoch in boundaries(space) if epoch <= furthest}


class _Then:
    """A population on its way from generation to generation, as the study kept them.

    Args:
        views: of all trials, as they came to be.
    """

    def __init__(self, views: Sequence[TrialView]) -> None:
        self._before: list[Generation] = []
        self._trained = {view.number: view.trained for view in views}
        self.lineages: dict[int, tuple[Stage, ...]] = {
            view.number: (Stage(0, view.number, view.params),) for view in views
        }
        self._inherited: dict[int, Mapping[int, float]] = {}

    def curve(self, number: int, until: int | None = None) -> dict[int, float]:
        """Fitness by epoch, as its lineage is now; None is to its end."""
        taken = self.lineages[number][-1].epoch
        own = {epoch: fitness for epoch, fitness in self._trained[number].items() if epoch > taken}
        whole = {**self._inherited.get(number, {}), **own}
        return {epoch: fitness for epoch, fitness in whole.items() if until is None or epoch <= until}

    def decide(self, space: Space, held: Generation) -> Generation:
        """The next generation, of the trials that took part in it, as far as they were trained to its end."""
        from raytrainer.search.ray_population import decided  # imports Ray's schedulers, for seconds

        there = [member.trial for member in held.members if member.trial in self.lineages]
        curves = {number: self.curve(number, held.epoch) for number in there}
        curves = {number: curve for number, curve in curves.items() if held.epoch in curve}
        if not curves:
            return Generation(held.epoch, (), ())
        paused = [TrialView(number, "paused", {}, each, max(each.values())) for number, each in curves.items()]
        members = [
            Member(number, curve[held.epoch], dict(self.lineages[number][-1].values))
            for number, curve in curves.items()
        ]
        return decided(space, held.epoch, members, spared(paused), self._before)

    def go_on(self, held: Generation) -> None:
        """To the next generation."""
        for clone in held.clones:
            if {clone.trial, clone.source} <= self.lineages.keys():
                inherited = self.curve(clone.source, held.epoch)
                stage = Stage(held.epoch, clone.source, clone.values)
                self.lineages[clone.trial] = (*self.lineages[clone.source], stage)
                self._inherited[clone.trial] = inherited
        self._before.append(held)


def _differences(held: Generation, again: Generation) -> Iterator[Difference]:
    """By trial, first of those that took part and then of who goes on from whom."""
    yield from _of_rows(_member_rows(held.members), _member_rows(again.members))
    yield from _of_rows(_clone_rows(held.clones), _clone_rows(again.clones))


def _member_rows(members: Sequence[Member]) -> dict[int, _Row]:
    rows = {each.trial: {f"{name} until then": value for name, value in each.values.items()} for each in members}
    return {each.trial: {FITNESS: each.score, **rows[each.trial]} for each in members}


def _clone_rows(clones: Sequence[Clone]) -> dict[int, _Row]:
    return {each.trial: {SOURCE: each.source, **each.values} for each in clones}


def _of_rows(held: Mapping[int, _Row], again: Mapping[int, _Row]) -> Iterator[Difference]:
    for trial in sorted(held.keys() | again.keys()):
        yield from _of_row(trial, held.get(trial, {}), again.get(trial, {}))


def _of_row(trial: int, held: _Row, again: _Row, where: str = "") -> Iterator[Difference]:
    """Key by key; of one that is there on one side alone, the first."""
    for key in {**held, **again} if held and again else [*held, *again][:1]:
        if held.get(key) != again.get(key):
            yield Difference(trial, f"{key}{where}", held.get(key), again.get(key))


def _of_notes(views: Sequence[TrialView], held: Sequence[Generation]) -> Iterator[tuple[int, Difference]]:
    """Where what trials note of their lineages does not follow from the generations, each with the epoch of one."""
    then, handed_over = _Then(views), set[int]()
    for generation in held:
        if all(view.promoted < generation.epoch for view in views):  # it may have come to some clones, not to others
            handed_over = {clone.trial for clone in generation.clones}
            break
        then.go_on(generation)
    for view in views:
        if held and view.number not in handed_over:
            yield from _of_trial(view, then.lineages[view.number], then.curve(view.number), held[0].epoch)


def _of_trial(
    view: TrialView, lineage: Sequence[Stage], curve: Mapping[int, float], first: int
) -> Iterator[tuple[int, Difference]]:
    """Stage by stage, each with the generation that it began with; the beginning with the first that followed."""
    noted, stages = ({stage.epoch: _stage_row(stage) for stage in each} for each in (view.lineage, lineage))
    later = sorted({*noted, *stages} - {0}) or [first]
    for epoch in sorted({*noted, *stages}):
        for difference in _of_row(view.number, noted.get(epoch, {}), stages.get(epoch, {}), f" in {LINEAGE}"):
            yield epoch or later[0], difference
    shown, wanted = ({f"{FITNESS} of epoch {epoch}": each[epoch] for epoch in each} for each in (view.values, curve))
    for difference in islice(_of_row(view.number, shown, wanted, f" in {LINEAGE}"), 1):  # the others follow from it
        yield later[-1], difference


def _stage_row(stage: Stage) -> _Row:
    return {SOURCE: stage.trial, **stage.values}

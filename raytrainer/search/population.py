"""A population: trials that train side by side in generations, the worst going on from the checkpoints of the best.

Population based training (Jaderberg et al., arXiv 1711.09846) and PB2 (Parker-Holder et al., arXiv 2002.02518), both in
Ray's own classes (see `ray_population`), synchronously: each trial pauses at every boundary, and when the last one has
come there, the next generation is decided once. So it needs no more than one place, whatever the number of trials, and
a study with the same seed is the same, however many places it has and whoever comes first.

Ray's classes keep what they know in memory, and move checkpoints of Ray's. Here the study on disk is the only truth and
a trial's state is in its folder, so one of them is made for each decision, told from the study what it would have heard
by then, and asked. What it decides is one record of the study before anything follows from it. A driver that is killed
at any point finds everybody paused, and the decision either there or to be made again, from the same numbers.

Two trials are never replaced: the baseline, which has the defaults to its end, so that the result can be held against
them, and whoever has had the best fitness so far, so that the best model is never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

from raytrainer.config.parameters import Scalar
from raytrainer.config.population import boundaries
from raytrainer.config.space import Space
from raytrainer.search.views import BASELINE, INHERITED, LINEAGE, Stage, TrialView

HandOver = Callable[[int, int], None]
"""Puts the state of the first trial's run in the place of the second's."""


class Notebook(Protocol):
    """The part of a ledger that a population writes to."""

    def attrs(self) -> Mapping[str, Any]:
        """What is kept about the study."""

    def set_attr(self, key: str, value: Any) -> None:
        """Keep JSON data about the study."""

    def note(self, number: int, key: str, value: Any) -> None:
        """Keep JSON data about a trial."""

    def settled(self) -> bool:
        """Whether all that was kept is on the disk; it is waited for, but not for ever."""


@dataclass(frozen=True)
class Clone:
    """A trial that goes on from another's checkpoint."""

    trial: int
    source: int
    values: Mapping[str, Scalar]
    """All searched values, from then on."""


@dataclass(frozen=True)
class Member:
    """A trial when a generation ends."""

    trial: int
    score: float
    """Fitness of the generation's last epoch."""
    values: Mapping[str, Scalar]
    """With which the generation was trained."""


@dataclass(frozen=True)
class Generation:
    """How a generation went over into the next one; kept as the study's attribute `generation_<epoch>`."""

    epoch: int
    members: tuple[Member, ...]
    clones: tuple[Clone, ...]

    def to_plain(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Generation:
        """The inverse."""
        members = tuple(Member(**member) for member in plain["members"])
        return cls(plain["epoch"], members, tuple(Clone(**clone) for clone in plain["clones"]))


@dataclass(frozen=True)
class Population:
    """When trials pause and go on, and what they go on with; a stopping rule that stops nobody (see `stopping`)."""

    space: Space
    pauses: ClassVar[bool] = True

    def decide(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:
        """Whether the trial has come to a boundary that it has not gone on from."""
        return epoch in boundaries(self.space) and epoch > views[number].promoted

    def alone(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:  # noqa: ARG002
        """Always False: nobody is judged before all have come to a boundary."""
        return False

    def promote(self, views: Sequence[TrialView]) -> int | None:
        """The paused trial that is furthest behind, if its boundary has been turned."""
        paused = [view for view in views if view.state == "paused"]
        first = min(paused, key=lambda view: (view.last_epoch, view.number), default=None)
        if first is None:
            return None
        free = _turned(first.last_epoch, views) or self._arrived(views) is not None
        return first.number if free else None

    def turn(self, views: Sequence[TrialView], notebook: Notebook, hand_over: HandOver) -> list[int]:
        """Decide the next generation once everybody has come to its boundary, and note who goes on from whom.

        Returns:
            The trials that others' states were handed over to, whose views are to be taken anew.

        Raises:
            OSError: if the decision is not on the disk yet, before which no state is replaced, or if one could not be
                handed over; to be tried again, before anybody goes on.
        """
        epoch = self._arrived(views)
        if epoch is None:
            return []
        generation = self._decided(epoch, views, notebook)
        if not notebook.settled():
            raise TimeoutError("what was decided is not on the disk yet")
        for clone in generation.clones:
            hand_over(clone.source, clone.trial)
            for key, value in _notes(clone, epoch, views[clone.source]).items():
                notebook.note(clone.trial, key, value)
        return [clone.trial for clone in generation.clones]

    def _arrived(self, views: Sequence[TrialView]) -> int | None:
        """The boundary at which all trials that train wait to go on; None if one is still on its way."""
        members = [view for view in views if view.state in ("running", "paused")]
        epochs = {view.last_epoch for view in members}
        whole = len(views) >= (self.space.search.most_trials or 0) and all(view.state == "paused" for view in members)
        return epochs.pop() if whole and len(epochs) == 1 and not _turned(min(epochs), views) else None

    def _decided(self, epoch: int, views: Sequence[TrialView], notebook: Notebook) -> Generation:
        """What was decided, now or by an earlier driver that got no further."""
        known = notebook.attrs().get(key_of(epoch))
        if known is not None:
            return Generation.of(known)
        from raytrainer.search.ray_population import decided  # imports Ray's schedulers, for seconds

        members = tuple(
            Member(view.number, view.values[epoch], dict(view.present)) for view in views if view.state == "paused"
        )
        generation = decided(self.space, epoch, members, spared(views), generations(notebook.attrs()))
        notebook.set_attr(key_of(epoch), generation.to_plain())
        return generation


def _turned(epoch: int, views: Sequence[TrialView]) -> bool:
    """Whether somebody has gone on from a boundary, so that all may."""
    return any(view.promoted >= epoch for view in views)


class Turns(Protocol):
    """The part of a stopping rule that turns generations."""

    def turn(self, views: Sequence[TrialView], notebook: Notebook, hand_over: HandOver) -> Collection[int]:
        """See `Population.turn`."""


class Telling(Protocol):
    """Something with words for the user."""

    tell: Callable[[str], None]


class Turning:
    """Turns a study's generations, and remembers whether one could not be turned, as on a full disk.

    Args:
        study: whose user is told when one could not.
    """

    def __init__(self, study: Telling) -> None:
        self._study = study
        self.hand_over: HandOver = lambda source, target: None  # noqa: ARG005
        """By default nothing: trials that are not trained have no state."""
        self.held_up = False
        """Whether nobody may go on until a turn that failed has been tried again."""

    def turned(
        self, rule: Turns, views: Sequence[TrialView], notebook: Notebook, refresh: Callable[[int], None]
    ) -> bool:
        """Turn what is to be turned now, and `refresh` the trials that it changes.

        False if it is held up, of which the user is told once.
        """
        try:
            changed = rule.turn(views, notebook, self.hand_over)
        except OSError as error:
            if not self.held_up:
                self._study.tell(f"the population waits, nothing is lost: {error}")
            self.held_up = True
            return False
        self.held_up = False
        for number in changed:
            refresh(number)
        return True


def key_of(epoch: int) -> str:
    """The study's attribute that keeps a generation, by the last epoch of it."""
    return f"generation_{epoch}"


def generations(attrs: Mapping[str, Any]) -> list[Generation]:
    """All of a study, by their epochs."""
    found = (Generation.of(value) for key, value in attrs.items() if key.startswith("generation_"))
    return sorted(found, key=lambda generation: generation.epoch)


def spared(views: Sequence[TrialView]) -> set[int]:
    """Who is not replaced: the baseline, and the trial with the best fitness so far."""
    fit = [view for view in views if view.state == "paused" and view.best_fitness is not None]
    best = max(fit, key=lambda view: (view.best_fitness or 0.0, -view.number))
    return {BASELINE, best.number}


def _notes(clone: Clone, epoch: int, source: TrialView) -> dict[str, Any]:
    """The lineage, the curve and the training arguments of its own that a clone takes over."""
    stages = [*source.lineage, Stage(epoch, clone.source, clone.values)]
    return {
        LINEAGE: [asdict(stage) for stage in stages],
        INHERITED: {str(done): value for done, value in source.values.items() if done <= epoch},
        "amended": source.notes.get("amended", {}),
    }

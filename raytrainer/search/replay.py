"""Every suggestion of a study drawn again, from nothing but what the study held when it was drawn."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from raytrainer.config.parameters import Scalar
from raytrainer.config.space import Space
from raytrainer.search.earlier_spaces import Earlier, eras
from raytrainer.search.epoch_notes import CONSTRAINTS, OF_EPOCH
from raytrainer.search.frozen import frozen
from raytrainer.search.gp.sampler import WHY
from raytrainer.search.mirror import Mirror
from raytrainer.search.samplers import suggester_of
from raytrainer.search.suggestion import SEEN, draw
from raytrainer.search.views import PAUSED, TrialView


@dataclass(frozen=True)
class Replayed:
    """One trial of the study, and what is suggested in its place today."""

    number: int
    params: Mapping[str, Scalar]
    """What it was drawn with; what an extension has added since is not among it."""
    again: Mapping[str, Scalar] | None
    """What comes out now; None for a trial that nobody suggested, such as the defaults."""
    waited_for: int
    """Trials that had not ended when it was drawn."""
    why: Mapping[str, float]
    """What the model expected (see `gp.sampler.WHY`); empty if no model was asked."""

    @property
    def agrees(self) -> bool:
        """Whether both are the same to the last digit."""
        return self.again == self.params


def replay(space: Space, views: Sequence[TrialView], earlier: Sequence[Earlier] = ()) -> Iterator[Replayed]:
    """Each trial by number, drawn again by the space's sampler and seed.

    A trial notes which others had not ended when it was drawn, and how far they were. All others before it had ended,
    so that its suggestion depends on nothing else, however many workers there were and whoever came first. Of a
    population, these are the first values; see `replay_population` for those that follow.

    Args:
        space: the study's.
        views: its trials, by number.
        earlier: what it searched before it was extended.
    """
    again = None
    for numbers, searched in eras(space, earlier, len(views)):
        known = [_known(view, searched) for view in views[: numbers.stop]]
        again = _Again(searched, known, numbers.start, again)
        yield from map(again.draw, known[numbers.start :])


def _known(view: TrialView, space: Space) -> TrialView:
    """A trial with the parameters that the space had: later ones were added to it."""
    params = {name: value for name, value in view.params.items() if name in space.space}
    return view if params == view.params else replace(view, params=params)


class _Again:
    """The study as long as its space was one and the same.

    Args:
        space: what it was.
        views: the trials up to its end, with the parameters that it had.
        begun: trials that there were when it began.
        before: the study up to then, whose samplers' notes it goes on with; None if it begins here.
    """

    def __init__(self, space: Space, views: Sequence[TrialView], begun: int, before: _Again | None) -> None:
        self._space, self._views = space, views
        self._suggester, self.mirror = suggester_of(space), _Then()
        self.study_id = self.mirror.create_new_study([StudyDirection.MAXIMIZE] * len(space.objectives), space.name)
        self._study = optuna.load_study(study_name=space.name, storage=self.mirror)
        if before is not None:
            for view in views[:begun]:
                self._keep(view, _of_sampler(before.mirror.get_trial(view.number).system_attrs))
            for key, value in before.mirror.get_study_system_attrs(before.study_id).items():
                self.mirror.set_study_system_attr(self.study_id, key, value)

    def draw(self, view: TrialView) -> Replayed:
        """The next trial."""
        seen = view.notes.get(SEEN)
        if seen is None:
            self._keep(view, {})
            return Replayed(view.number, view.params, None, 0, {})
        self.mirror.past = [self.mirror.then(other, seen, self._space) for other in self._views[: view.number]]
        with self.mirror.showing(self._suggester.shown(self.mirror.past)):
            self._study.sampler = self._suggester.sampler(view.number)
            asked: Trial = self._study.ask()
            again = draw(asked, self._space.space)
        why = self.mirror.get_trial(view.number).system_attrs.get(WHY, {})
        return Replayed(view.number, view.params, again, sum(map(len, seen.values())), why)

    def _keep(self, view: TrialView, attrs: Mapping[str, Any]) -> None:
        """Adds a trial that is not drawn here, with what a sampler has written about it."""
        trial = _then(view, {}, self._space)
        trial.system_attrs = {**attrs, **trial.system_attrs}
        self.mirror.create_new_trial(self.study_id, trial)


def _of_sampler(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a trial came to: at the time it may have been on its way."""
    return {key: value for key, value in attrs.items() if key != CONSTRAINTS and not key.startswith(OF_EPOCH)}


class _Then(Mirror):
    """A study as it was, with the trial that is being drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.past: list[FrozenTrial] = []
        self._ended: dict[int, FrozenTrial] = {}

    def then(self, view: TrialView, seen: Mapping[str, Mapping[str, int]], space: Space) -> FrozenTrial:
        """A trial as it was when another one was drawn, with what samplers keep with their own, which is kept again.

        One that had ended stays as it is for all that are drawn later.
        """
        if view.number in self._ended:
            return self._ended[view.number]
        trial = _then(view, seen, space)
        trial.system_attrs = {**_of_sampler(self.get_trial(view.number).system_attrs), **trial.system_attrs}
        if trial.state.is_finished():
            self._ended[view.number] = trial
        return trial

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if self._shown is not None:
            return super().get_all_trials(study_id, deepcopy, states)
        trials = [*self.past, *super().get_all_trials(study_id, deepcopy)[len(self.past) :]]
        return [trial for trial in trials if states is None or trial.state in states]


def _then(view: TrialView, seen: Mapping[str, Mapping[str, int]], space: Space) -> FrozenTrial:
    """A trial as it was when another one was drawn: ended, unless it is among the trials that had not."""
    name, running, paused = str(view.number), seen.get("running", {}), seen.get("paused", {})
    until = running.get(name, paused.get(name))
    attrs = {PAUSED: until} if name in paused else {}
    return frozen(view, space, running=until is not None, until=until, attrs=attrs)

"""Every suggestion of a study drawn again, from nothing but what the study held when it was drawn."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from raytrainer.config.parameters import Scalar
from raytrainer.config.space import Space
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
    """What the study has."""
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


def replay(space: Space, views: Sequence[TrialView]) -> Iterator[Replayed]:
    """Each trial by number, drawn again by the space's sampler and seed.

    A trial notes which others had not ended when it was drawn, and how far they were. All others before it had ended,
    so that its suggestion depends on nothing else, however many workers there were and whoever came first.

    Args:
        space: the study's.
        views: its trials, by number.
    """
    suggester, mirror = suggester_of(space), _Then()
    study_id = mirror.create_new_study([StudyDirection.MAXIMIZE] * len(space.objectives), space.name)
    study = optuna.load_study(study_name=space.name, storage=mirror)
    for view in views:
        seen = view.notes.get(SEEN)
        if seen is None:
            mirror.create_new_trial(study_id, _then(view, {}, space))
            yield Replayed(view.number, view.params, None, 0, {})
            continue
        mirror.past = [mirror.then(other, seen, space) for other in views[: view.number]]
        with mirror.showing(suggester.shown(mirror.past)):
            study.sampler = suggester.sampler(view.number)
            asked: Trial = study.ask()
            again = draw(asked, space.space)
        why = mirror.get_trial(view.number).system_attrs.get(WHY, {})
        yield Replayed(view.number, view.params, again, sum(map(len, seen.values())), why)


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

"""The Optuna study twice: on disk, the only truth, and in memory, for the samplers. Every write goes to both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from raytrainer.config.parameters import Scalar
from raytrainer.search.mirror import Mirror
from raytrainer.search.views import REASON

SIDE_EFFECTS = "study_system_attrs"
"""Trial attribute that holds what the sampler wrote about the whole study while it suggested that trial."""


class Ledger:
    """Trials of one study, numbered from 0. A write that fails on disk leaves both sides without it.

    Optuna's `tell` is not used: it would give a pruned trial its last value, and refuses one of our own.
    """

    def __init__(self, disk: BaseStorage, name: str) -> None:
        self._disk, self._name = disk, name
        studies = disk.get_all_studies()
        self._id = studies[0]._study_id if studies else disk.create_new_study([StudyDirection.MAXIMIZE], name)
        self._reload()

    def trials(self) -> list[FrozenTrial]:
        """Every trial, by number. Not to be changed."""
        return self._mirror.get_all_trials(self._mirror_id, deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """One trial as the disk has it. Not to be changed."""
        return self._disk.get_trial(self._ids[number])

    def attrs(self) -> dict[str, Any]:
        """What `set_attr` has kept about the study."""
        return self._disk.get_study_user_attrs(self._id)

    def set_attr(self, key: str, value: Any) -> None:
        """Keeps JSON data about the study."""
        self._disk.set_study_user_attr(self._id, key, value)

    def add(self, params: Mapping[str, Scalar], distributions: Mapping[str, BaseDistribution], **notes: Any) -> int:
        """A running trial with these parameters, and its number. It is written as one record."""
        number = len(self._ids)
        trial = FrozenTrial(
            number=number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs=notes,
            system_attrs={},
            intermediate_values={},
            trial_id=number,
        )
        self._ids.append(self._disk.create_new_trial(self._id, trial))
        return self._mirror.create_new_trial(self._mirror_id, trial)

    def suggest(
        self, sampler: BaseSampler, shown: list[FrozenTrial] | None, draw: Callable[[Trial], Mapping[str, Scalar]]
    ) -> int:
        """A running trial whose parameters `draw` takes from the sampler, and its number.

        It is drafted in memory and then written as one record, with what the sampler keeps about the whole study
        (a sequence's place, say) inside, so that a kill loses both or neither.
        """
        before = self._mirror.get_study_system_attrs(self._mirror_id)
        try:
            with self._mirror.showing(shown):
                self._study.sampler = sampler
                trial = self._study.ask()
                draw(trial)
            after = self._mirror.get_study_system_attrs(self._mirror_id)
            written = {key: value for key, value in after.items() if before.get(key) != value}
            if written:
                self._mirror.set_trial_system_attr(trial.number, SIDE_EFFECTS, written)
            self._ids.append(self._disk.create_new_trial(self._id, self._mirror.get_trial(trial.number)))
        except BaseException:
            self._reload()
            raise
        return trial.number

    def report(self, number: int, epoch: int, fitness: float) -> None:
        """Adds one value to the curve of a running trial."""
        self._disk.set_trial_intermediate_value(self._ids[number], epoch, fitness)
        self._mirror.set_trial_intermediate_value(number, epoch, fitness)

    def note(self, number: int, key: str, value: Any) -> None:
        """Keeps JSON data about a running trial."""
        self._disk.set_trial_user_attr(self._ids[number], key, value)
        self._mirror.set_trial_user_attr(number, key, value)

    def finish(self, number: int, state: TrialState, value: float | None, reason: str | None = None) -> None:
        """Ends a running trial."""
        if reason is not None:
            self.note(number, REASON, reason)
        values = None if value is None else [value]
        self._disk.set_trial_state_values(self._ids[number], state, values)
        self._mirror.set_trial_state_values(number, state, values)

    def _reload(self) -> None:
        """Fills the memory side from the disk."""
        self._mirror = Mirror()
        self._mirror_id = self._mirror.create_new_study([StudyDirection.MAXIMIZE], self._name)
        self._ids: list[int] = []
        for trial in self._disk.get_all_trials(self._id, deepcopy=False):
            self._ids.append(trial._trial_id)
            self._mirror.create_new_trial(self._mirror_id, trial)
            for key, value in trial.system_attrs.get(SIDE_EFFECTS, {}).items():
                self._mirror.set_study_system_attr(self._mirror_id, key, value)
        self._study = optuna.load_study(study_name=self._name, storage=self._mirror)

"""The study in memory, as a sampler sees it."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator
from contextlib import contextmanager

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState


class Mirror(InMemoryStorage):
    """Optuna's memory storage, filled from the study on disk, on which a suggestion is drafted before it is written.

    A sampler writes a suggestion one parameter at a time. Drafted here, it reaches the disk as one record, so a kill
    in the middle leaves no half trial. It can also be shown other values than the study holds (see `showing`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[FrozenTrial] | None = None
        self._before = 0

    @contextmanager
    def showing(self, trials: list[FrozenTrial] | None) -> Iterator[None]:
        """Within this context, listing the trials gives these and what is drafted; None gives the real ones."""
        self._shown, self._before = trials, len(self._trial_id_to_study_id_and_number)
        try:
            yield
        finally:
            self._shown = None

    def put(self, trial: FrozenTrial) -> None:
        """Puts a trial in the place of the one with its number: the same one, as the disk has it."""
        with self._lock:
            self._set_trial(trial.number, trial)
            self._update_cache(trial.number, 0)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As `BaseStorage.get_all_trials`."""
        if self._shown is None:
            return super().get_all_trials(study_id, deepcopy, states)
        drafted = super().get_all_trials(study_id, deepcopy=False)[self._before :]
        trials = [trial for trial in (*self._shown, *drafted) if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

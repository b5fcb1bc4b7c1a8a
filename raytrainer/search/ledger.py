"""The Optuna study twice: on disk, the only truth, and in memory, for the samplers. Every write goes to both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from raytrainer.config.parameters import Scalar
from raytrainer.search.disk import Disk
from raytrainer.search.epoch_notes import CONSTRAINTS, epoch_key
from raytrainer.search.extension import as_drawn_from, taken_of
from raytrainer.search.mirror import Mirror
from raytrainer.search.views import REASON
from raytrainer.search.writer import Writing

SIDE_EFFECTS = "study_system_attrs"
"""Trial attribute that holds what the sampler wrote about the whole study while it suggested that trial."""
PATIENCE = 5.0
"""Seconds that a call waits for the disk before it leaves the rest to the writer."""
LAST_PATIENCE = 20.0
"""Seconds that a driver that ends waits for a storage in trouble."""

log = logging.getLogger(__name__)


class Ledger:
    """Trials of one study, numbered from 0. The disk may be behind the memory, never ahead and never out of order.

    What must not be lost is waited for, up to `PATIENCE` seconds; after that the writer goes on with it (`behind`).
    Optuna's `tell` is not used: it would give a pruned trial its last value, and refuses one of our own.

    Args:
        disk: the open storage, closed with the ledger.
        name: the study's.
        writing: how its writes get there; ended with the ledger.
        objectives: how many there are, all maximised.
    """

    def __init__(self, disk: Disk, name: str, writing: Writing, objectives: int = 1) -> None:
        self._disk, self._storage, self._name = disk, disk.storage, name
        self._id = self._find_study([StudyDirection.MAXIMIZE] * objectives)
        self._directions = self._storage.get_study_directions(self._id)
        self._attrs = dict(self._storage.get_study_user_attrs(self._id))
        self._behind = False
        self._distributions: Mapping[str, BaseDistribution] = {}
        self._load(self._storage.get_all_trials(self._id, deepcopy=False))
        disk.commit()
        self._writer = writing

    def claim(self) -> None:
        """Lets the study know that this driver is its latest: the first thing that is written to one that was there."""
        self._disk.claim(self._id)

    def close(self) -> None:
        """Writes what is left, as far as the storage lets it, and lets another driver in. Without a trial it is deleted
        from a storage that holds other studies.

        What could not be written is in the trials' own records, and is told again by them.
        """
        try:
            if not self.trials() and self._disk.shared:  # as opposed to: none that is written yet
                self._writer.submit(lambda _: self._storage.delete_study(self._id))
            if not self._writer.end(LAST_PATIENCE):
                log.warning("the study %s was closed before all of it was written", self._name)
        finally:
            self._disk.close()

    @property
    def objectives(self) -> int:
        """How many the study maximises; 0 if it minimises one, as another package's may."""
        wrong = any(direction != StudyDirection.MAXIMIZE for direction in self._directions)
        return 0 if wrong else len(self._directions)

    def adapt(self, distributions: Mapping[str, BaseDistribution]) -> None:
        """Lets all trials be seen as drawn from these distributions, which are those they had or wider ones."""
        self._distributions = distributions
        self._reload()

    def trials(self) -> list[FrozenTrial]:
        """Every trial, by number. Not to be changed."""
        return self._mirror.get_all_trials(self._mirror_id, deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """One trial. Not to be changed."""
        return self._mirror.get_trial(number)

    def attrs(self) -> Mapping[str, Any]:
        """What `set_attr` has kept about the study."""
        return self._attrs

    def set_attr(self, key: str, value: Any) -> None:
        """Keeps JSON data about the study."""
        self._attrs[key] = value
        self._writer.submit(lambda _: self._storage.set_study_user_attr(self._id, key, value))

    def settled(self) -> bool:
        """Whether everything is on the disk. Waits for it up to `PATIENCE`, unless that was in vain the last time.

        Raises:
            UserError: if another driver has gone on with the study.
        """
        self._behind = not self._writer.wait(0.0 if self._behind else PATIENCE)
        return not self._behind

    def add(self, params: Mapping[str, Scalar], distributions: Mapping[str, BaseDistribution], **notes: Any) -> int:
        """A running trial with these parameters, and its number. It is written as one record."""
        trial = FrozenTrial(
            number=len(self.trials()),
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs=notes,
            system_attrs={},
            intermediate_values={},
            trial_id=-1,
        )
        self._mirror.create_new_trial(self._mirror_id, trial)
        self._create(trial)
        return trial.number

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
        except BaseException:
            self._reload()
            raise
        after = self._mirror.get_study_system_attrs(self._mirror_id)
        written = {key: value for key, value in after.items() if before.get(key) != value}
        if written:
            self._mirror.set_trial_system_attr(trial.number, SIDE_EFFECTS, written)
        self._create(self._mirror.get_trial(trial.number))
        return trial.number

    def report(self, number: int, epoch: int, fitness: float, note: Mapping[str, Any] | None = None) -> None:
        """Adds one value to the curve of a running trial, and what is to be kept beside it, if there is anything.

        That is written first, so that no epoch is there without it.
        """
        if note:
            self._keep(number, epoch_key(epoch), dict(note))
        self._mirror.set_trial_intermediate_value(number, epoch, fitness)
        self._writer.submit(lambda _: self._storage.set_trial_intermediate_value(self._ids[number], epoch, fitness))

    def note(self, number: int, key: str, value: Any) -> None:
        """Keeps JSON data about a running trial."""
        self._mirror.set_trial_user_attr(number, key, value)
        self._writer.submit(lambda _: self._storage.set_trial_user_attr(self._ids[number], key, value))

    def finish(
        self,
        number: int,
        state: TrialState,
        objectives: Sequence[float],
        reason: str | None = None,
        violations: Sequence[float] = (),
    ) -> None:
        """Ends a running trial, with the value of each objective, or none."""
        values = list(objectives) or None
        if violations:
            self._keep(number, CONSTRAINTS, list(violations))
        if reason is not None:
            self._mirror.set_trial_user_attr(number, REASON, reason)
        self._mirror.set_trial_state_values(number, state, values)

        def end(again: bool) -> FrozenTrial:
            trial = self._storage.get_trial(self._ids[number])
            if again and trial.state.is_finished():
                return trial
            if reason is not None:
                self._storage.set_trial_user_attr(self._ids[number], REASON, reason)
            self._storage.set_trial_state_values(self._ids[number], state, values)
            return self._storage.get_trial(self._ids[number])

        ended = self._writer.submit(end)
        if self.settled():
            self._mirror.put(self._seen(ended.result()))

    def _keep(self, number: int, key: str, value: Any) -> None:
        """Writes an attribute of a trial that belongs to it and not to the user."""
        self._mirror.set_trial_system_attr(number, key, value)

        def keep(again: bool) -> None:
            if not (again and self._storage.get_trial(self._ids[number]).state.is_finished()):
                self._storage.set_trial_system_attr(self._ids[number], key, value)

        self._writer.submit(keep)

    def _create(self, trial: FrozenTrial) -> None:
        def create(again: bool) -> None:
            there = self._storage.get_all_trials(self._id, deepcopy=False) if again else []
            known = there[trial.number]._trial_id if len(there) > trial.number else None
            self._ids.append(self._storage.create_new_trial(self._id, trial) if known is None else known)

        self._writer.submit(create)

    def _find_study(self, directions: list[StudyDirection]) -> int:
        """The study's id. A file holds one study, whose name may have changed since.

        One of this package that has no trials yet is made anew if it had another number of objectives.
        """
        known = {study.study_name: study._study_id for study in self._storage.get_all_studies()}
        there = known.get(self._name, None if self._disk.shared else next(iter(known.values()), None))
        if there is not None:
            theirs = "space" not in self._storage.get_study_user_attrs(there)
            begun = self._storage.get_all_trials(there, deepcopy=False)
            if begun or theirs or self._storage.get_study_directions(there) == directions:
                return there
            self._storage.delete_study(there)
        return self._storage.create_new_study(directions, self._name)

    def _reload(self) -> None:
        """Fills the memory side anew. In its turn, since a database lets a driver have one connection."""
        self._load(self._writer.submit(lambda _: self._storage.get_all_trials(self._id, deepcopy=False)).result())

    def _load(self, trials: list[FrozenTrial]) -> None:
        """Fills the memory side with the trials that are on the disk."""
        self._mirror = Mirror()
        self._mirror_id = self._mirror.create_new_study(self._directions, self._name)
        self._ids: list[int] = []
        for stored in trials:
            trial = self._seen(stored)
            self._ids.append(stored._trial_id)
            self._mirror.create_new_trial(self._mirror_id, trial)
            for key, value in trial.system_attrs.get(SIDE_EFFECTS, {}).items():
                self._mirror.set_study_system_attr(self._mirror_id, key, value)
        self._study = optuna.load_study(study_name=self._name, storage=self._mirror)

    def _seen(self, stored: FrozenTrial) -> FrozenTrial:
        """A trial as the samplers see it (see `adapt`)."""
        taken = taken_of(self._attrs).get(str(stored.number), {})
        return as_drawn_from(self._distributions, stored, taken)

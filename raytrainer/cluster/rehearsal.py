"""Before the first trial: the processes of the trials start side by side, and one of them tries a batch.

Ray Tune starts a process when it has a trial for it, and hands the process on when that trial ends. So the first trials
that it is given are not the study's. Each holds a process while that imports the libraries, and the first trains one
batch of the space's defaults there, with the resources that a trial has. Then the study's trials take the processes
over. Tried in the driver, the same batch would cost the libraries once more: seconds of a CPU, and half a gigabyte.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.schedulers import TrialScheduler

from raytrainer.cluster.assignment import Assignment
from raytrainer.cluster.output import OutputTo
from raytrainer.config.problems import Problem, UserError
from raytrainer.search.deaths import death_of
from raytrainer.search.scheduler import StudyScheduler
from raytrainer.search.searcher import StudySearcher

SEAT = "seat"
"""Key of the configuration of such a trial: its seat, counted from 0."""
TRIES = 0
"""The seat that tries the batch."""
WAIT_SECONDS = 0.05
"""How often a process that is ready asks whether a trial of the study is there for it."""


class Rehearsal:
    """What the driver knows about it.

    Args:
        seats: processes to start, as many as there are trials at once; 0 leaves the rehearsal out.
        tell: called with the images that training leaves out as corrupt, each with the reason.
    """

    def __init__(self, seats: int, tell: Callable[[Mapping[str, str]], None] | None) -> None:
        self._vacant = deque(range(seats))
        self._held = seats
        self._offered = False
        self._makes_room = False
        self._tell = tell
        self.passed = not seats
        """Whether the batch went well."""
        self.over = False
        """Whether the study has no more trials to hand out."""
        self.mistake: Exception | None = None
        """Why there is no point in starting."""

    def next_seat(self) -> dict[str, Any] | None:
        """The configuration of the next process to start; None once all are asked for."""
        return {SEAT: self._vacant.popleft()} if self._vacant else None

    @property
    def holds_back(self) -> bool:
        """Whether the study's next trial has to wait, for the batch or for a process to take over."""
        return not self.passed or (self._held > 0 and not self._offered)

    def claim(self) -> None:
        """A trial of the study has taken the process that was offered, if one was."""
        self._offered = False

    def hear(self, result: Mapping[str, Any]) -> bool:
        """Take a result of a seat; whether its process should be handed on, or is needed no more."""
        match result.get("rehearsed"):
            case Exception() as mistake:
                self.mistake = self.mistake or mistake
            case None:
                pass
            case left_out:
                self.passed = True
                if self._tell is not None:
                    self._tell(dict(left_out))
        if self._makes_room and result[SEAT] != TRIES:
            self._makes_room = False
            self._held -= 1
            return True
        # One by one: of several processes that nobody has asked for yet, Ray keeps the first and ends the others. And a
        # trial that comes before its process is free gets a new one, where there is room for more.
        if self.passed and not self._offered and not self.over:
            self._offered = True
            self._held -= 1
            return True
        return self.over

    def displaced(self, seat: int) -> None:
        """The node of a seat was lost or cannot train, and the seat goes elsewhere.

        If it is the one that tries the batch, it may find the places taken by seats that wait for this very batch.
        """
        self._makes_room = self._makes_room or seat == TRIES

    def died(self) -> None:
        """A process died before anything was trained."""
        message = (
            "the process that tried one batch died, most likely for want of memory: choose a smaller batch or model"
        )
        self.mistake = self.mistake or UserError([Problem(None, None, "train.batch", message)])


class RehearsedSearcher(StudySearcher):
    """Hands out the seats of a rehearsal, and the study's trials once it has passed."""

    def __init__(self, rehearsal: Rehearsal, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rehearsal = rehearsal

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """As `StudySearcher.suggest`."""
        if (seat := self._rehearsal.next_seat()) is not None:
            return seat
        if self._rehearsal.holds_back:
            return None
        suggestion = super().suggest(trial_id)
        if isinstance(suggestion, dict):
            self._rehearsal.claim()
        elif suggestion is not None:
            self._rehearsal.over = True
        return suggestion


class RehearsedScheduler(StudyScheduler):
    """Ends each seat as soon as a trial of the study waits for its process; all else is the study's."""

    def __init__(self, rehearsal: Rehearsal, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rehearsal = rehearsal

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """As `StudyScheduler.on_trial_result`."""
        if SEAT not in trial.config:
            return super().on_trial_result(tune_controller, trial, result)
        return str(TrialScheduler.STOP if self._rehearsal.hear(result) else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """As `StudyScheduler.on_trial_complete`."""
        if SEAT not in trial.config:
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """As `StudyScheduler.on_trial_error`."""
        if SEAT not in trial.config:
            super().on_trial_error(tune_controller, trial)
        elif death_of(trial.error_file, self._study.folder.log).of_node:
            trial.max_failures += 1
            self._rehearsal.displaced(trial.config[SEAT])
        else:
            self._rehearsal.died()


class Seat:
    """The process's side: what it does until a trial of the study takes it over."""

    def __init__(self, assignment: Assignment, number: int) -> None:
        self._assignment, self._number = assignment, number
        self._ready = False

    def step(self) -> dict[str, Any]:
        """Get ready and say how it went; after that, wait a little."""
        if self._ready:
            time.sleep(WAIT_SECONDS)
            return {SEAT: self._number}
        self._ready = True
        with OutputTo(self._assignment.folder.log):
            return {SEAT: self._number, "rehearsed": self._rehearsed()}

    def _rehearsed(self) -> list[tuple[str, str]] | Exception | None:
        """The images that seat 0 has found left out, None for the others; or what went wrong.

        Not the whole report, whose class the driver could not unpickle without importing torch; and no dict, of which
        Ray would make keys of the result.
        """
        try:
            import torch._dynamo  # noqa: F401  # what the first optimizer imports, for a second

            import raytrainer.trainer.run  # noqa: F401
            from raytrainer.trainer.first_batch import try_one_batch

            return [*try_one_batch(self._assignment.space).left_out.items()] if self._number == TRIES else None
        except UserError as error:
            return error
        except Exception:
            return RuntimeError(f"one batch could not be tried\n{traceback.format_exc()}")

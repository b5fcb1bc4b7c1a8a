"""Trouble with the disk is no verdict on a configuration: the trial waits until it is over and goes on where it was."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable

from raytrainer.cluster.training_thread import Event, Failed, Training, Waiting, reason_of, short_of
from raytrainer.config.layout import StudyFolder

WAIT_SECONDS = 5.0


class DiskWait:
    """A training that is begun again, for as long as it takes, when what it writes to is full, read-only or gone.

    Nothing is lost by that: what is on the disk was written whole before (see `trainer.atomic`). It begins only if the
    study's folder is there: on a mount point that has lost its file system it would begin from nothing.

    Args:
        begin: starts the training, from its last epoch on.
        folder: the study's, where there are trials.
    """

    def __init__(self, begin: Callable[[], Training], folder: StudyFolder) -> None:
        self._begin, self._folder = begin, folder
        self._training: Training | None = None
        self._waiting = False

    def next(self) -> Event:
        """Train to the end of the next validated epoch or to the end; or find the disk in trouble."""
        if self._waiting:
            time.sleep(WAIT_SECONDS)
        if self._training is None and (why := trouble(self._folder)):
            return self._wait(why)
        try:
            self._training = self._training or self._begin()
        except OSError as error:
            if why := self._to_wait_for(Failed(reason_of(error), short_of(error))):
                return self._wait(why)
            raise
        event = self._training.next()
        self._waiting = False
        why = self._to_wait_for(event) if isinstance(event, Failed) else None
        return self._wait(why) if why else event

    def abandon(self, seconds: float) -> bool:
        """End it where it stands; False if it still runs after `seconds`."""
        return self._training is None or self._training.abandon(seconds)

    def _to_wait_for(self, failure: Failed) -> str | None:
        """Whatever it failed with: a folder that is gone has other errors than a disk that is full."""
        return failure.reason if failure.short_of == "disk" else trouble(self._folder)

    def _wait(self, reason: str) -> Waiting:
        self._training, self._waiting = None, True
        return Waiting(reason)


def trouble(folder: StudyFolder) -> str | None:
    """Why nothing can be written to a study's trials now; None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder.trials):
            return None
    except OSError as error:
        return f"{folder.trials}: {error.strerror or error}"

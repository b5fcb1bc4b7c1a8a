"""A full disk is no verdict on a configuration: the trial waits for space and goes on from its last epoch."""

from __future__ import annotations

import time
from collections.abc import Callable

from raytrainer.cluster.training_thread import Event, Failed, Training, Waiting, reason_of, short_of

WAIT_SECONDS = 5.0


class DiskWait:
    """A training that is begun again, for as long as it takes, when the disk had no space for what it wrote.

    Nothing is lost by that: what is on the disk was written whole before (see `trainer.atomic`).

    Args:
        begin: starts the training, from its last epoch on.
    """

    def __init__(self, begin: Callable[[], Training]) -> None:
        self._begin = begin
        self._training: Training | None = None
        self._waiting = False

    def next(self) -> Event:
        """Train to the end of the next validated epoch or to the end; or find the disk full."""
        if self._waiting:
            time.sleep(WAIT_SECONDS)
        try:
            self._training = self._training or self._begin()
        except OSError as error:
            if short_of(error) != "disk":
                raise
            return self._wait(reason_of(error))
        event = self._training.next()
        self._waiting = False
        return self._wait(event.reason) if isinstance(event, Failed) and event.short_of == "disk" else event

    def abandon(self, seconds: float) -> bool:
        """End it where it stands; False if it still runs after `seconds`."""
        return self._training is None or self._training.abandon(seconds)

    def _wait(self, reason: str) -> Waiting:
        self._training, self._waiting = None, True
        return Waiting(reason)

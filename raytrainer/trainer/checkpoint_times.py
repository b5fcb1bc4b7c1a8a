"""After which epochs a run writes what it can be resumed from."""

from __future__ import annotations

import time


class CheckpointTimes:
    """The first epoch, so that a folder that cannot be written to is found at once, and then as the settings say.

    Args:
        every: `Settings.checkpoint_every`: epochs, or minutes such as `10min`.
    """

    def __init__(self, every: int | str) -> None:
        self._every = every
        self._written = time.monotonic()
        self._begun = False

    def due(self, epoch: int) -> bool:
        """Whether one is to be written after an epoch, counted from 1."""
        if isinstance(self._every, int):
            return not self._begun or epoch % self._every == 0
        return not self._begun or time.monotonic() - self._written >= 60 * int(self._every.removesuffix("min"))

    def note(self) -> None:
        """One was written, in this process or, if the run was resumed, by the one before."""
        self._written, self._begun = time.monotonic(), True

"""A training that hangs is ended and started again: Ray sees nothing wrong with a process that does nothing."""

from __future__ import annotations

import faulthandler
import math
import time

STANDARD_ERROR = 2
SHARE = 0.01
"""How much earlier it may strike than asked, as a share of the time: arming it for every batch would cost a thread."""


class Watchdog:
    """Ends the process, with every thread's stack on standard error, when it has not been told of a batch for too long.

    The alarm is one of C, so that it also ends a process whose interpreter is held by the call that hangs. There is one
    in a process.

    Args:
        seconds: how long without a batch; None never ends it.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._armed = -math.inf

    def batch(self) -> None:
        """Count the time from now on."""
        if self._seconds is not None and time.monotonic() - self._armed > SHARE * self._seconds:
            self._armed = time.monotonic()
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=STANDARD_ERROR)

    def rest(self) -> None:
        """Do not count until the next batch."""
        self._armed = -math.inf
        faulthandler.cancel_dump_traceback_later()

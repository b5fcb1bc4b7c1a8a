"""CPU seconds of all that a measured process starts: steadier than wall time on a machine that others use too."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from types import TracebackType

import psutil

SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER` of linux/prctl.h."""
PAUSE_SECONDS = 0.2


class CpuTime:
    """While entered, adds up the CPU time of all processes below this one; its own is not counted.

    They are looked at every `PAUSE_SECONDS`, so up to that much is missed of each one that ends. Linux only: processes
    whose parents have died are taken in by this one.
    """

    def __init__(self) -> None:
        self._spent: dict[psutil.Process, float] = {}
        self._before: set[psutil.Process] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def seconds(self) -> float:
        """User and system time of processes that have started since."""
        return sum(seconds for process, seconds in self._spent.items() if process not in self._before)

    def __enter__(self) -> CpuTime:
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        self._before = set(psutil.Process().children(recursive=True))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    self._spent[process] = times.user + times.system

"""Ctrl-C and SIGTERM: the first asks for a clean end, the second gets an immediate one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While entered, the first SIGINT or SIGTERM calls `ask` and the next one does what it did before.

    Outside the main thread, where Python hands out no signals, it does nothing.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._first) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._restore()

    def _first(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002, the signature of a handler
        self._restore()
        self._ask()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

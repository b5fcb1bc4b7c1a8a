"""The one thread that writes a study, in order, and tries again for as long as its storage is in trouble."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from raytrainer.search.disk import TROUBLE, Disk, why

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Seconds between two attempts: the first pause, doubled up to the longest."""

log = logging.getLogger(__name__)
Work = Callable[[bool], Any]
"""Writes something and may return something. Told whether it is tried again, and may have got through before."""


class NotWritten(Exception):
    """The driver ended before its storage was well again."""


class Writing(Protocol):
    """How a ledger's writes reach its disk."""

    def submit(self, work: Work) -> Future[Any]:
        """Takes a write; the future has its result once it is there for good."""

    def wait(self, seconds: float) -> bool:
        """Whether everything was written, now or within that time."""

    def end(self, seconds: float) -> bool:
        """Takes no more; whether everything was written within that time."""


class Directly:
    """Writes at once, for a study in memory: nothing is in trouble there."""

    def submit(self, work: Work) -> Future[Any]:
        """Does it."""
        done: Future[Any] = Future()
        done.set_result(work(False))
        return done

    def wait(self, seconds: float) -> bool:  # noqa: ARG002
        """Always True."""
        return True

    def end(self, seconds: float) -> bool:  # noqa: ARG002
        """Always True."""
        return True


class Writer:
    """Takes writes at once and does them one after the other, however slow the storage is.

    Nothing is given up: a write that meets trouble is tried again, later ones wait behind it in memory, and `tell`
    hears when it begins and when it is over. Any other error ends the writer, and every later call raises it.

    Args:
        disk: the open storage; used by this thread alone from here on.
        place: what the storage is called in messages.
        tell: takes a line for the user; called from this thread.
    """

    def __init__(self, disk: Disk, place: str, tell: Callable[[str], None]) -> None:
        self._disk, self._place, self._tell = disk, place, tell
        self._jobs: deque[tuple[Work, Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._busy = self._ending = False
        self._broken: BaseException | None = None
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="study-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> Future[Any]:
        """Puts a write at the end of the queue; the future has its result once it is on the disk for good.

        Raises:
            BaseException: what ended the writer.
        """
        done: Future[Any] = Future()
        with self._changed:
            self.check()
            self._jobs.append((work, done))
            self._changed.notify_all()
        return done

    def wait(self, seconds: float) -> bool:
        """Whether everything is on the disk, now or within that time.

        Raises:
            BaseException: what ended the writer.
        """
        with self._changed:
            settled = self._changed.wait_for(lambda: self._broken is not None or self._idle(), seconds)
            self.check()
            return settled

    def check(self) -> None:
        """Raises what ended the writer, if anything did."""
        if self._broken is not None:
            raise self._broken

    def end(self, seconds: float) -> bool:
        """Waits for what is left and ends the thread; whether everything was written in that time."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(seconds)
        self._given_up.set()
        self._thread.join(1.0)
        return not self._thread.is_alive() and self._idle() and self._broken is None

    def _idle(self) -> bool:
        return not self._jobs and not self._busy

    def _run(self) -> None:
        while jobs := self._next():
            try:
                results = [self._insist(work) for work, _ in jobs]
                self._insist(lambda _: self._disk.commit())
            except BaseException as error:
                self._break(error, jobs)
                return
            for (_, done), result in zip(jobs, results, strict=True):
                done.set_result(result)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> list[tuple[Work, Future[Any]]]:
        """All that waits, to be committed together; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._ending)
            jobs = list(self._jobs)
            self._jobs.clear()
            self._busy = bool(jobs)
            return jobs

    def _break(self, error: BaseException, jobs: list[tuple[Work, Future[Any]]]) -> None:
        with self._changed:
            self._broken = error
            jobs += self._jobs
            self._jobs.clear()
            self._changed.notify_all()
        for _, done in jobs:
            if not done.done():
                done.set_exception(error)

    def _insist(self, work: Work) -> Any:
        """Does it, again and again while the storage is in trouble.

        Raises:
            NotWritten: if the driver ends before that.
        """
        pause, tried = FIRST_PAUSE, False
        while True:
            try:
                result = work(tried)
            except TROUBLE as error:
                if not tried:
                    self._say(f"{self._place} cannot be written ({why(error)}): the study waits, nothing is lost")
                tried = True
                log.warning("%s: %s; tried again in %g s", self._place, why(error), pause)
                if self._given_up.wait(pause):
                    raise NotWritten(f"{self._place} could not be written: {why(error)}") from error
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if tried:
                self._say(f"{self._place} can be written again: the study goes on")
            return result

    def _say(self, text: str) -> None:
        log.warning("%s", text)
        self._tell(text)

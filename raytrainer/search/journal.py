"""The study's file: an Optuna journal that survives a kill at any byte, and the lock that keeps drivers apart."""

from __future__ import annotations

import fcntl
import json
import logging
import mmap
import os
import socket
import time
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage

from raytrainer.config.problems import Problem, UserError

LOCK = "study.lock"
SYNC_SECONDS = 1.0
"""Reports wait for the disk at most this long. They can be had again from the trial's own records; all else cannot."""

log = logging.getLogger(__name__)


class DriverLock:
    """The right to write a study, held by one process and given back by the kernel when that process dies.

    Raises:
        UserError: if another driver holds it, naming that driver, or if the file system knows no locks.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        self._file: IO[str] = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - held until release()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(f"the study {folder} is being run by {self._holder()}") from None
        except OSError as error:
            raise self._refusal(f"{path} cannot be locked ({error.strerror}): choose another storage folder") from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
        self._file.flush()

    def release(self) -> None:
        """Lets the next driver in. Does nothing the second time."""
        self._file.close()

    def _holder(self) -> str:
        self._file.seek(0)
        return self._file.read() or "another driver"

    def _refusal(self, message: str) -> UserError:
        self._file.close()
        return UserError([Problem(file=None, line=None, key=None, message=message)])


class Journal(JournalFileBackend):
    """Optuna's journal file with one writer, whose appends are whole or not at all.

    Upstream takes a lock file for every operation, which a killed driver leaves behind, and opens the file and syncs
    it for every line. Here `DriverLock` has made sure of the one writer, and lines are appended to one open file. A
    new trial and a finished one are on the disk before the call returns; reports at most `SYNC_SECONDS` later.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._synced = time.monotonic()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends operations, one JSON line each.

        Raises:
            OSError: if they could not be written whole; the file is then as it was before.
        """
        data = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in logs).encode()
        size = os.fstat(self._out).st_size
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except BaseException:
            os.ftruncate(self._out, size)
            raise
        if time.monotonic() - self._synced > SYNC_SECONDS or not all(map(_is_report, logs)):
            os.fsync(self._out)
            self._synced = time.monotonic()

    def close(self) -> None:
        """Syncs and closes the file."""
        os.fsync(self._out)
        os.close(self._out)


def open_storage(journal: JournalFileBackend, path: Path) -> JournalStorage:
    """The Optuna storage of a journal.

    Raises:
        UserError: if the file is not a journal, or is damaged before its last line.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return JournalStorage(journal)
    except (ValueError, KeyError, AssertionError) as error:
        message = f"{path} cannot be read as a study: {error}. Start a new one under another name"
        raise UserError([Problem(file=str(path), line=None, key=None, message=message)]) from error


def cut_torn_line(path: Path) -> int:
    """Cuts off an unfinished last line, which a kill or a power loss in mid-write leaves, and returns its bytes.

    What stood there was never acknowledged to anyone. Left in place, the next line would be glued to it and the whole
    study become unreadable. To be called by the one driver only.
    """
    if not path.exists() or path.stat().st_size == 0:
        return 0
    with open(path, "r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end, size = content.rfind(b"\n") + 1, len(content)
        if end < size:
            log.warning("%s ended in %d bytes of an unfinished line, cut off", path, size - end)
            file.truncate(end)
            os.fsync(file.fileno())
    return size - end


def _is_report(entry: dict[str, Any]) -> bool:
    return "intermediate_value" in entry or ("trial_id" in entry and "user_attr" in entry)

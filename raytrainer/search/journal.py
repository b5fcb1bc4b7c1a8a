"""The study's file: an Optuna journal that survives a kill at any byte, and a disk that is full, slow or gone."""

from __future__ import annotations

import errno
import json
import logging
import mmap
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage

from raytrainer.config.problems import Problem, UserError
from raytrainer.search.epoch_notes import OF_EPOCH
from raytrainer.search.lock import is_open

SYNC_SECONDS = 1.0
"""Reports wait for the disk at most this long. They can be had again from the trial's own records; all else cannot."""

START = b'{"op_code":'
"""Of every line."""
OPERATIONS = range(11)
"""Codes of what Optuna writes."""
DAMAGED = "this line is damaged, or the file is another's"

log = logging.getLogger(__name__)


class Journal(JournalFileBackend):
    """Optuna's journal file with one writer, whose commits are whole or not at all.

    Upstream takes a lock file for every operation, which a killed driver leaves behind, and opens, reads and syncs the
    file for every line. Here `DriverLock` has made sure of the one writer: what it appends is gathered until `commit`
    and is read back from memory. A commit that fails may be tried again. What no sync has confirmed yet is kept, and
    written again after a failure: a disk that was in trouble may have forgotten it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._size = os.fstat(self._out).st_size
        self._synced = time.monotonic()
        self._opened, self._durable = False, True
        self._unread: list[dict[str, Any]] = []
        self._unwritten = self._unsynced = b""

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The file when it is opened, what was appended since when asked again."""
        if not self._opened:
            self._opened = True
            yield from super().read_logs(log_number_from)
        unread, self._unread = self._unread, []
        yield from unread

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Takes operations, one JSON line each, for the next commit."""
        lines = [json.dumps(entry, separators=(",", ":")) for entry in logs]
        self._unread += map(json.loads, lines)
        self._unwritten += "".join(line + "\n" for line in lines).encode()
        self._durable &= all(map(_is_report, logs))

    def commit(self) -> None:
        """Writes what was appended: synced before the call returns, only reports at most `SYNC_SECONDS` later.

        Raises:
            OSError: if it could not be written whole; the file is then as it was before.
        """
        if not self._unwritten:
            return
        self._find_file()
        sync = time.monotonic() - self._synced > SYNC_SECONDS or not self._durable
        try:
            self._write(self._unwritten)
            if sync:
                os.fsync(self._out)
        except BaseException:
            self._take_back()
            os.ftruncate(self._out, self._size)
            raise
        self._size += len(self._unwritten)
        self._unsynced, self._unwritten = self._unsynced + self._unwritten, b""
        if sync:
            self._synced, self._durable, self._unsynced = time.monotonic(), True, b""

    def mend(self) -> None:
        """Cuts off an unfinished last line, now that the lines before it have been read as a study's."""
        self._size -= cut_torn_line(self._path)

    def close(self) -> None:
        """Syncs and closes the file; what was not committed is lost."""
        try:
            if self._unsynced:
                os.fsync(self._out)
        finally:
            os.close(self._out)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._out, data) :]

    def _take_back(self) -> None:
        """What was written since the last sync is to be written again."""
        self._size -= len(self._unsynced)
        self._unsynced, self._unwritten, self._durable = b"", self._unsynced + self._unwritten, False

    def _find_file(self) -> None:
        """Opens the file again if another one is at its path, as after a file system was gone and is back."""
        if not is_open(self._path, self._out):
            gone, self._out = self._out, os.open(self._path, os.O_WRONLY | os.O_APPEND)
            os.close(gone)
            self._take_back()
        size = os.fstat(self._out).st_size
        if size < self._size:
            raise OSError(errno.EIO, f"{self._size - size} bytes that were written are not there", str(self._path))
        if size > self._size:  # an attempt that failed, and could not be taken back either
            os.ftruncate(self._out, self._size)


def open_storage(journal: JournalFileBackend, path: Path) -> JournalStorage:
    """The Optuna storage of a journal.

    Raises:
        UserError: if the file is not a journal, or is damaged before its last line.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return JournalStorage(journal)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        damaged = _first_damage(path)
        raise _unreadable(path, damaged, DAMAGED if damaged else f"{type(error).__name__}: {error}") from error


def cut_torn_line(path: Path) -> int:
    """Cuts off an unfinished last line, which a kill or a power loss in mid-write leaves, and returns its bytes.

    What stood there was never acknowledged to anyone. Left in place, the next line would be glued to it and the whole
    study become unreadable. To be called by the one driver only.

    Raises:
        UserError: if that line is all there is, and no beginning of a study.
    """
    if not path.exists() or path.stat().st_size == 0:
        return 0
    with open(path, "r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end, size = content.rfind(b"\n") + 1, len(content)
            head = content[: len(START)].rstrip(b"\0")  # a file system may have kept no more than the length
        if end == 0 and not START.startswith(head):
            raise _unreadable(path, 1, DAMAGED)
        if end < size:
            log.warning("%s ended in %d bytes of an unfinished line, cut off", path, size - end)
            file.truncate(end)
            os.fsync(file.fileno())
    return size - end


def _first_damage(path: Path) -> int | None:
    """The first line that no study has; None if each could stand in one."""
    with open(path, "rb") as file:
        return next((number for number, line in enumerate(file, 1) if not _is_operation(line)), None)


def _is_operation(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and entry.get("op_code") in OPERATIONS


def _unreadable(path: Path, line: int | None, why: str) -> UserError:
    message = f"cannot be read as a study: {why}. Put a copy of it back, or start a new one under another --name"
    return UserError([Problem(str(path), line, None, message)])


def _is_report(entry: dict[str, Any]) -> bool:
    of_epoch = any(key.startswith(OF_EPOCH) for key in entry.get("system_attr", ()))
    return "intermediate_value" in entry or of_epoch or ("trial_id" in entry and "user_attr" in entry)

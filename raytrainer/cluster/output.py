"""Everything that a process prints while it runs a trial goes to that trial's log, C libraries included."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO


class OutputTo:
    """Point file descriptors 1 and 2 at a file, appending, until closed.

    Works on descriptors, not on `sys.stdout`, since loggers keep the stream that they were given and libraries write
    below Python. One at a time in a process.

    Raises:
        OSError: if the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved: tuple[int, ...] = (os.dup(1), os.dup(2))
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.close(target)

    def before(self) -> TextIO:
        """A stream to where standard output went before, for what is still meant to be seen; the caller closes it."""
        sys.stdout.flush()
        return os.fdopen(os.dup(self._saved[0]), "w", buffering=1, encoding=sys.stdout.encoding or "utf-8")

    def close(self) -> None:
        """Give the descriptors back; a second call does nothing."""
        if not self._saved:
            return
        for descriptor, saved, stream in zip((1, 2), self._saved, (sys.stdout, sys.stderr), strict=True):
            _flush(stream, descriptor)
            os.dup2(saved, descriptor)
            os.close(saved)
        self._saved = ()

    def __enter__(self) -> OutputTo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class LogFile(logging.Handler):
    """Appends to a file that it opens for every line, since the disk it is on may be gone for a while.

    A line for which there is no disk is lost.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line."""
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(self.format(record) + "\n")


def _flush(stream: TextIO, descriptor: int) -> None:
    """Write what is left; where its disk is full or gone, drop it: it would come out wherever the stream goes next."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        stream.flush()

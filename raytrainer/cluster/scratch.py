"""Temporary folders of drivers. What a driver that was killed has left, the next one on the machine removes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PREFIX = "raytrainer-"
LOCK = "driver.lock"
"""Held by the driver while it lives, whatever ends it: a folder whose lock is free is nobody's."""


@contextmanager
def scratch(kind: str = "") -> Iterator[Path]:
    """A folder for this driver, removed at the end.

    Args:
        kind: a word for its name. It should be short: the path of a socket has 107 characters in all, and Ray's are
            deep in here.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind}"))
    with _claimed(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """End the processes and remove the folders of drivers that are dead.

    Ray's processes die with their driver, but for the agents of a node, which look for a server for another minute.
    """
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock.open("a") as file:  # gone meanwhile, or another user's
            if lock.stat().st_uid == os.getuid() and _taken(file):
                _end_users(lock.parent)
                shutil.rmtree(lock.parent, ignore_errors=True)


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    # Locked before it has its name, so that nobody can find it unlocked.
    unnamed = folder / f"{LOCK}.new"
    with unnamed.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        unnamed.rename(folder / LOCK)
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_users(folder: Path) -> None:
    """Kill every process that has a file of the folder open, this one aside; where there is no /proc, none."""
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) != os.getpid() and _uses(process, folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


def _uses(process: Path, folder: Path) -> bool:
    try:
        return any(os.readlink(link).startswith(f"{folder}{os.sep}") for link in (process / "fd").iterdir())
    except OSError:  # it has ended, or is another user's
        return False

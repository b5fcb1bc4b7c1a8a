"""The lock that keeps drivers apart: one process may write a study, wherever the study is."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from raytrainer.config.problems import Problem, UserError

LOCK = "study.lock"
DRIVER = re.compile(r"process (\d+) on (.+)")


class DriverLock:
    """The right to write what is in a folder, held by one process and given back by the kernel when that process dies.

    A file server that does not hear of a host's end keeps its lock for ever. Whoever deletes the file takes the right
    away from that host, even if it lives (`keep`).

    Raises:
        UserError: if another driver holds it, naming that driver, or if the file system knows no locks.
    """

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        self._folder, self._path = folder, folder / name
        self._file: IO[str] = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115 - held until release()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(running_elsewhere(folder, self._holder(), self._path)) from None
        except OSError as error:
            message = f"{self._path} cannot be locked ({error.strerror}): choose another storage folder"
            raise self._refusal(UserError([Problem(None, None, None, message)])) from error
        self._sign()

    def keep(self) -> None:
        """Makes sure that it is still held, and takes it again if its file system was gone and is back.

        Raises:
            UserError: if another driver has taken it meanwhile.
            OSError: if its file is not there.
        """
        if is_open(self._path, self._file.fileno()):
            return
        with ExitStack() as refused:
            file = refused.enter_context(open(self._path, "r+", encoding="utf-8"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise replaced(self._folder) from None
            if file.read() not in ("", this_driver()):
                raise replaced(self._folder)
            refused.pop_all()
        self._file.close()
        self._file = file
        self._sign()

    def release(self) -> None:
        """Lets the next driver in. Does nothing the second time."""
        self._file.close()

    def _sign(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(this_driver())
        self._file.flush()

    def _holder(self) -> str:
        self._file.seek(0)
        return self._file.read() or "another driver"

    def _refusal(self, error: UserError) -> UserError:
        self._file.close()
        return error


def this_driver() -> str:
    """This process, as others are told of it: `process 4711 on node3`."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def has_ended(holder: str) -> bool:
    """Whether `process 4711 on node3` is known to be gone; of another machine nothing is known."""
    named = DRIVER.fullmatch(holder)
    if named is None or named[2] != socket.gethostname():
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def running_elsewhere(study: object, holder: str, lock: Path | None = None) -> UserError:
    """What is told to a second driver; with the file of the lock, also what to do if the holder's host is no more."""
    message = f"the study {study} is being run by {holder}"
    named = DRIVER.fullmatch(holder)
    if lock is not None and named is not None and named[2] != socket.gethostname():
        message += f". If {named[2]} is gone for good, delete {lock} and start again"
    return UserError([Problem(None, None, None, message)])


def replaced(study: object) -> UserError:
    """What is told to a driver that was cut off, when the study has gone on without it."""
    return UserError([Problem(None, None, None, f"{study}: another driver has gone on with it")])


def is_open(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at its path, and not one of a file system that is gone.

    Raises:
        OSError: if there is none.
    """
    return os.path.samestat(os.stat(path), os.fstat(descriptor))

"""The lock that keeps drivers apart: one process may write a study, wherever the study is."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from pathlib import Path
from typing import IO

from raytrainer.config.problems import Problem, UserError

LOCK = "study.lock"


class DriverLock:
    """The right to write what is in a folder, held by one process and given back by the kernel when that process dies.

    Raises:
        UserError: if another driver holds it, naming that driver, or if the file system knows no locks.
    """

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        path = folder / name
        self._file: IO[str] = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - held until release()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(running_elsewhere(folder, self._holder())) from None
        except OSError as error:
            message = f"{path} cannot be locked ({error.strerror}): choose another storage folder"
            raise self._refusal(UserError([Problem(None, None, None, message)])) from error
        self._file.truncate(0)
        self._file.write(this_driver())
        self._file.flush()

    def release(self) -> None:
        """Lets the next driver in. Does nothing the second time."""
        self._file.close()

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
    named = re.fullmatch(r"process (\d+) on (.+)", holder)
    if named is None or named[2] != socket.gethostname():
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def running_elsewhere(study: object, holder: str) -> UserError:
    """What is told to a second driver."""
    return UserError([Problem(None, None, None, f"the study {study} is being run by {holder}")])

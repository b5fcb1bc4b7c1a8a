"""A study as it lies on disk, read while it runs or after, without touching what its driver holds."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.problems import Problem, UserError, suggest
from raytrainer.config.space import Space
from raytrainer.search.journal import LOCK
from raytrainer.search.reading import read_views
from raytrainer.search.views import TrialView


@dataclass(frozen=True)
class SavedStudy:
    """What the files of a study say at one moment."""

    folder: StudyFolder
    space: Space
    trials: Sequence[TrialView]
    driver: str | None
    """Who runs it now, such as `process 4711 on node3`; None if nobody does."""


def read_study(study: str, storage: str = "runs") -> SavedStudy:
    """Read a study.

    Args:
        study: its folder, or its name within `storage`.
        storage: the folder of studies.

    Raises:
        UserError: if there is none, naming the nearest one, or if its files cannot be read.
    """
    folder = StudyFolder(find_study(study, storage))
    return SavedStudy(folder, load_space(folder.space), read_views(folder.path), driver_of(folder))


def find_study(study: str, storage: str = "runs") -> Path:
    """The folder of a study given by its folder or its name.

    Raises:
        UserError: if there is none, naming the nearest one.
    """
    for path in (Path(study), Path(storage) / study):
        if StudyFolder(path).journal.is_file():
            return path
    names = sorted(path.name for path in Path(storage).glob("*") if StudyFolder(path).journal.is_file())
    there = suggest(study, names) if names else f"; {storage}/ holds no study"
    raise UserError([Problem(None, None, None, f"there is no study '{study}' here or in {storage}/{there}")])


def driver_of(folder: StudyFolder) -> str | None:
    """Who drives a study now; None if nobody does.

    The kernel knows: it holds the driver's lock for as long as that process lives. It is asked by trying for a shared
    lock, given back at once, and not even that if the process that is named there has ended on this machine.
    """
    try:
        with open(folder.path / LOCK, encoding="utf-8") as file:
            holder = file.read()
            return holder if holder and not _ended(holder) and _is_locked(file) else None
    except FileNotFoundError:
        return None


def _is_locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _ended(holder: str) -> bool:
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

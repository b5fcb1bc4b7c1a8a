"""Where a study is kept: a journal file, a database, or Redis, each with one driver that may write it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage

from raytrainer.config.layout import StudyFolder
from raytrainer.config.problems import Problem, UserError, masked
from raytrainer.config.storage import Storage
from raytrainer.search.journal import Journal, open_storage
from raytrainer.search.lock import DriverLock

TROUBLE = (OSError, StorageInternalError)
"""What a storage raises that is full, read-only, slow beyond its limits, or gone: it may pass."""
GENERATION = "driver"
"""Study attribute in a database with a token of the last driver that opened the study."""


class Disk(Protocol):
    """An open storage that no other driver writes this study in."""

    shared: bool
    """Whether it holds other studies too."""

    @property
    def storage(self) -> BaseStorage:
        """Optuna's view of it."""

    def claim(self, study_id: int) -> None:
        """Lets the study know that this driver is its latest."""

    def commit(self) -> None:
        """Makes sure that what was written through `storage` is there to stay; may raise `TROUBLE`."""

    def close(self) -> None:
        """Lets another driver in."""


class MemoryDisk:
    """Nothing but memory, for a simulation."""

    shared = True

    def __init__(self, storage: InMemoryStorage | None = None) -> None:
        self.storage = storage or InMemoryStorage()

    def claim(self, study_id: int) -> None:
        """Nobody else could be."""

    def commit(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class JournalDisk:
    """A file in the study's folder; who holds the folder's lock is its driver."""

    shared = False

    def __init__(self, path: Path, lock: DriverLock) -> None:
        self._journal, self._lock = Journal(path), lock
        try:
            self.storage = open_storage(self._journal, path)
            self._journal.mend()
        except BaseException:
            self._journal.close()
            raise
        self.close = self._journal.close

    def commit(self) -> None:
        """Whole or not at all, and only while the lock is held."""
        self._lock.keep()
        self._journal.commit()

    def claim(self, study_id: int) -> None:
        """The lock of the folder says so, and is not lost while its holder lives."""


def open_disk(folder: StudyFolder, storage: Storage, name: str, lock: DriverLock) -> Disk:
    """Opens the storage of the study `name` to write it; `lock` is the folder's.

    Raises:
        UserError: if another driver writes it, if it cannot be reached, or if it is damaged.
    """
    url = storage.url
    if url is None:
        return JournalDisk(folder.journal, lock)
    if missing := url.missing():
        raise _refused(missing)
    try:
        if url.kind.startswith("redis"):
            from raytrainer.search.redis_disk import RedisDisk

            return RedisDisk(url, name)
        from raytrainer.search.database import Database

        return Database(url, name)
    except TROUBLE as error:
        raise _refused(f"{url} cannot be opened: {why(error)}") from error


def why(error: BaseException) -> str:
    """One line about a storage's trouble, without a password."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__  # Optuna's own words are about invalid data
    said = getattr(error, "orig", None) or error
    words = said.strerror if isinstance(said, OSError) and said.strerror else str(said)
    return masked(words.strip().partition("\n")[0]) or type(said).__name__


def _refused(message: str) -> UserError:
    return UserError([Problem("storage", None, None, message)])

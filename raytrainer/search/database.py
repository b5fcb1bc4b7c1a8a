"""A study in an SQLite or PostgreSQL database, in Optuna's own tables, so that its dashboard opens it."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from raytrainer.config.problems import Problem, UserError
from raytrainer.config.storage import StudyUrl
from raytrainer.search.disk import GENERATION
from raytrainer.search.lock import DriverLock, replaced, running_elsewhere, this_driver

VANISHED = {"idle": 15, "interval": 5, "count": 3}
"""Seconds after which a peer whose host is gone is asked for, between questions, and how many go unanswered."""
APPLICATION = "raytrainer "

TAKE = "SELECT pg_try_advisory_lock(%s)"
HOLDER = """
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
AND (l.classid::bigint << 32 | l.objid::bigint) = %s
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
LATEST = """
SELECT value_json FROM study_user_attributes a JOIN studies s USING (study_id)
WHERE s.study_name = %s AND a.key = %s
"""


class Tables(RDBStorage):
    """Optuna's storage, which lets a trial have a parameter with more choices than earlier ones had.

    Upstream refuses that, for samplers that mix what is drawn from different choices. Each trial keeps its own choices
    beside the value, so all of them can be read; what a sampler is shown is up to `extension.as_drawn_from`.
    """

    def _set_trial_param_without_commit(
        self,
        session: Any,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,  # noqa: ARG002
    ) -> None:
        super()._set_trial_param_without_commit(
            session, trial_id, param_name, param_value_internal, distribution, distribution
        )


class Database:
    """Optuna's tables, written over one connection that holds the study's lock.

    SQLite: a file lock beside the database. PostgreSQL: an advisory lock of the session, taken anew with every
    connection, so that no write ever goes over a connection without it. The server gives it back when the driver dies;
    if the driver's host vanishes, half a minute later. A driver that was cut off, and replaced meanwhile, is refused.
    """

    shared = True

    def __init__(self, url: StudyUrl, name: str) -> None:
        self._url, self._name = url, name
        self._file_lock: DriverLock | None = None
        self._generation: str | None = None
        if url.kind == "sqlite":
            path = Path(url.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file_lock = DriverLock(path.parent, f"{path.name}.{name}.lock")
        try:
            self.storage = open_tables(url)
            if self._file_lock is None:
                event.listen(self.storage.engine, "connect", self._take)
            self.storage.engine.dispose()  # the connections from here on are taken
            self.storage.get_all_studies()
        except BaseException:
            self.close()
            raise

    def claim(self, study_id: int) -> None:
        """Notes that this driver is the study's latest."""
        generation = uuid.uuid4().hex
        self.storage.set_study_user_attr(study_id, GENERATION, generation)
        self._generation = generation

    def commit(self) -> None:
        """Every write is a transaction of its own already."""

    def close(self) -> None:
        """Gives the connection back, and with it the lock."""
        if hasattr(self, "storage"):
            self.storage.remove_session()
            self.storage.engine.dispose()
        if self._file_lock is not None:
            self._file_lock.release()

    def _take(self, connection: Any, record: object) -> None:  # noqa: ARG002, SQLAlchemy's signature
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", (APPLICATION + this_driver(),))
            for setting, value in VANISHED.items():
                cursor.execute(f"SET tcp_keepalives_{setting} = {value}")
            key = lock_key(self._name)
            if not cursor.execute(TAKE, (key,)).fetchone()[0]:
                raise self._held(cursor.execute(HOLDER, (key,)).fetchone())
            if self._generation is not None:
                found = cursor.execute(LATEST, (self._name, GENERATION)).fetchone()
                if found is None or json.loads(found[0]) != self._generation:
                    raise replaced(self._url)
        connection.commit()

    def _held(self, found: tuple[str] | None) -> Exception:
        holder = (found[0] if found else "").removeprefix(APPLICATION)
        if holder == this_driver():
            return ConnectionError(f"the server has not noticed yet that the former connection to {self._url} is lost")
        return running_elsewhere(f"{self._name} at {self._url}", holder or "another driver")


def open_tables(url: StudyUrl) -> Tables:
    """Optuna's storage of a database, whose tables are made if they are not there.

    Raises:
        UserError: if the tables are of another version of Optuna.
        OSError: if the database cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options: dict[str, Any] = {"pool_pre_ping": True}
    address = url.connection()
    if url.kind == "postgresql":
        address = address.replace("postgresql://", "postgresql+psycopg://", 1)
        keepalives = {f"keepalives_{key}": value for key, value in VANISHED.items()}
        options["connect_args"] = {"connect_timeout": 10, "tcp_user_timeout": 30_000, **keepalives}
    try:
        return Tables(address, engine_kwargs=options)
    except RuntimeError as error:
        message = f"{url} was made by another version of Optuna: {error}"
        raise UserError([Problem("storage", None, None, message)]) from error
    except SQLAlchemyError as error:
        raise OSError(str(getattr(error, "orig", error)).partition("\n")[0]) from error


def holder_of(url: StudyUrl, name: str) -> str | None:
    """Who drives a study in a PostgreSQL database; None if nobody does."""
    storage = open_tables(url)
    try:
        with storage.engine.connect() as connection:
            cursor = connection.connection.cursor()
            found = cursor.execute(HOLDER, (lock_key(name),)).fetchone()
            return (found[0] or "another driver").removeprefix(APPLICATION) if found else None
    finally:
        storage.engine.dispose()


def lock_key(name: str) -> int:
    """Number of a study's advisory lock, 0 to 2**63 - 1."""
    return int.from_bytes(hashlib.sha256(f"raytrainer:{name}".encode()).digest()[:8], "big") >> 1


def exists(url: StudyUrl) -> bool:
    """Whether there is a database to look at: opening one that is not there would make it."""
    return url.kind != "sqlite" or os.path.isfile(url.path)

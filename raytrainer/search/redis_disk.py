"""A study in Redis: the journal that Optuna keeps there, so that its dashboard opens it, with one driver a study."""

from __future__ import annotations

import json
import secrets
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import optuna
import redis
from optuna.exceptions import ExperimentalWarning
from optuna.storages.journal import JournalRedisBackend, JournalStorage

from raytrainer.config.storage import StudyUrl
from raytrainer.search.lock import has_ended, replaced, running_elsewhere, this_driver

LEASE_SECONDS = 30
"""How long a driver whose host vanished keeps others out. One that dies on the same host is noticed at once."""
AT_ONCE = 1000
"""Operations that are fetched in one go."""

# Keys: lease, generation. Arguments: holder, milliseconds, the dead holder that may be replaced.
TAKE = """
local holder = redis.call('get', KEYS[1])
if holder and holder ~= ARGV[3] then return {0, holder} end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return {1, redis.call('incr', KEYS[2])}
"""
# Keys: lease, generation, log_number. Arguments: holder, milliseconds, generation, prefix, operations.
# A driver that was cut off until its lease ended goes on if nobody took the study meanwhile.
APPEND = """
if redis.call('get', KEYS[2]) ~= ARGV[3] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
redis.call('setnx', KEYS[3], -1)
for i = 5, #ARGV do
  redis.call('set', ARGV[4] .. ':log:' .. redis.call('incr', KEYS[3]), ARGV[i])
end
return 1
"""
# Keys: lease, generation. Arguments: generation.
RELEASE = "if redis.call('get', KEYS[2]) == ARGV[1] then redis.call('del', KEYS[1]) end"


class RedisJournal(JournalRedisBackend):
    """Optuna's journal in Redis, read many operations at a time and never unpickled: a snapshot there is not ours."""

    def __init__(self, url: StudyUrl) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # what is used of it is a name and a prefix
            super().__init__(url.connection())
        self._redis = redis.Redis.from_url(url.connection(), socket_timeout=30, socket_connect_timeout=10)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Operations from that number on."""
        with as_trouble():
            last = int(self._redis.get(f"{self._prefix}:log_number") or -1)
        for start in range(log_number_from, last + 1, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, last + 1))
            with as_trouble():
                found: Any = self._redis.mget([self._key_log_id(number) for number in numbers])
            for number, entry in zip(numbers, found, strict=True):
                if entry is None:
                    raise ConnectionError(f"operation {number} of {last} is not there")
                yield json.loads(entry)

    def save_snapshot(self, snapshot: bytes) -> None:
        """Nothing to save."""

    def load_snapshot(self) -> None:
        """Nothing to load."""


class DrivenJournal(RedisJournal):
    """The journal as the driver of one study writes it: a lease keeps others out, and whoever lost it is refused.

    Every append checks that no other driver has taken the study since, in one step with the write.
    """

    def __init__(self, url: StudyUrl, name: str) -> None:
        super().__init__(url)
        self._place, self._name = f"{name} at {url}", name
        self._holder = f"{this_driver()} {secrets.token_hex(8)}"
        self._keys = [f"raytrainer:driver:{name}", f"raytrainer:generation:{name}"]
        self._generation = self._take()
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="redis-lease", daemon=True)
        self._heart.start()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends operations.

        Raises:
            UserError: if another driver has taken the study.
            OSError: if Redis cannot be reached, or does not write.
        """
        if not self._append(list(map(json.dumps, logs))):
            raise replaced(self._place)

    def close(self) -> None:
        """Lets the next driver in; Redis does if it cannot be told."""
        self._ended.set()
        self._heart.join()
        with as_trouble():
            self._redis.eval(RELEASE, 2, *self._keys, self._generation)
            self._redis.close()

    def _append(self, lines: list[str]) -> bool:
        keys = [*self._keys, f"{self._prefix}:log_number"]
        arguments: list[str | int] = [self._holder, LEASE_SECONDS * 1000, self._generation, self._prefix, *lines]
        with as_trouble():
            return bool(self._redis.eval(APPEND, 3, *keys, *arguments))

    def _take(self) -> int:
        dead = ""
        while True:
            with as_trouble():
                taken, found = self._redis.eval(TAKE, 2, *self._keys, self._holder, LEASE_SECONDS * 1000, dead)
            if taken:
                return int(found)
            dead = found.decode()
            process = dead.rpartition(" ")[0]
            if not has_ended(process):
                raise running_elsewhere(self._place, process)

    def _beat(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / 3):
            try:
                self._append([])
            except OSError as error:
                optuna.logging.get_logger("optuna").warning("the lease of %s waits: %s", self._place, error)


class RedisDisk:
    """A study in Redis, open to be written."""

    shared = True

    def __init__(self, url: StudyUrl, name: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        journal = DrivenJournal(url, name)
        try:
            self.storage = JournalStorage(journal)
        except BaseException:
            journal.close()
            raise
        self.close = journal.close

    def claim(self, study_id: int) -> None:
        """Taking the lease said so."""

    def commit(self) -> None:
        """Every operation has been told to Redis already; when it reaches a disk there is for Redis to say."""


@contextmanager
def as_trouble() -> Generator[None, None, None]:
    """Tells an error of Redis as one of the system, whatever the trouble is.

    Raises:
        ConnectionError: in place of it.
    """
    try:
        yield
    except redis.RedisError as error:
        raise ConnectionError(str(error)) from error


def holder_of(url: StudyUrl, name: str) -> str | None:
    """Who drives a study in Redis; None if nobody does."""
    connection = redis.Redis.from_url(url.connection(), socket_timeout=10, socket_connect_timeout=10)
    with as_trouble(), connection:
        found: Any = connection.get(f"raytrainer:driver:{name}")
    process = found.decode().rpartition(" ")[0] if found else None
    return None if process is None or has_ended(process) else process

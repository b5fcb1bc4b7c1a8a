"""A look at a study from outside, while its driver writes it or after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage

from raytrainer.config.layout import StudyFolder
from raytrainer.config.problems import Problem, UserError
from raytrainer.config.storage import Storage, StudyUrl
from raytrainer.search.disk import TROUBLE, why
from raytrainer.search.extension import as_drawn_from, taken_of
from raytrainer.search.journal import open_storage
from raytrainer.search.views import TrialView, view_of


@dataclass(frozen=True)
class StudyRecord:
    """What the storage of a study holds at one moment."""

    attrs: dict[str, Any]
    trials: list[TrialView]
    """By number."""


def read_views(folder: Path) -> list[TrialView]:
    """Every trial of the study whose file is in `folder`, by number (see `read_record`).

    Raises:
        FileNotFoundError: if there is no study.
        UserError: if its file cannot be read.
    """
    record = read_record(StudyFolder(folder), Storage(), folder.name)
    if record is None:
        raise FileNotFoundError(StudyFolder(folder).journal)
    return record.trials


def read_record(folder: StudyFolder, storage: Storage, name: str) -> StudyRecord | None:
    """The study in a folder's file, or the one called `name` at the storage's URL; None if there is none.

    Takes no lock and changes nothing; an unfinished last line is not seen.

    Raises:
        UserError: if it cannot be read, or its storage cannot be reached.
    """
    with _opened(folder, storage) as found:
        studies = found.get_all_studies() if found else []
        mine = [study for study in studies if storage.url is None or study.study_name == name]
        if found is None or not mine:
            return None
        attrs = mine[0].user_attrs
        taken = taken_of(attrs)
        trials = found.get_all_trials(mine[0]._study_id, deepcopy=False)
        return StudyRecord(
            attrs, [view_of(as_drawn_from({}, trial, taken.get(str(trial.number), {}))) for trial in trials]
        )


def names_at(url: StudyUrl) -> list[str]:
    """Names of the studies at a URL.

    Raises:
        UserError: if it cannot be reached.
    """
    with _opened(StudyFolder(Path()), Storage(url=url)) as found:
        return sorted(study.study_name for study in found.get_all_studies()) if found else []


def holder_at(url: StudyUrl, name: str) -> str | None:
    """Who drives a study at a URL, such as `process 4711 on node3`; None if nobody does, or a file says so."""
    if url.kind == "sqlite":
        return None
    if url.kind == "postgresql":
        from raytrainer.search import database as holding
    else:
        from raytrainer.search import redis_disk as holding  # type: ignore[no-redef]
    return holding.holder_of(url, name)


@contextmanager
def _opened(folder: StudyFolder, storage: Storage) -> Iterator[BaseStorage | None]:
    """The storage to be read; None if there is nothing yet."""
    url = storage.url
    if url is None:
        path = folder.journal
        yield open_storage(JournalFileBackend(str(path)), path) if path.is_file() else None
        return
    if missing := url.missing():
        raise UserError([Problem("storage", None, None, missing)])
    try:
        yield _at(url)
    except TROUBLE as error:
        raise UserError([Problem("storage", None, None, f"{url} cannot be read: {why(error)}")]) from error


def _at(url: StudyUrl) -> BaseStorage | None:
    if url.kind.startswith("redis"):
        from raytrainer.search.redis_disk import RedisJournal

        return JournalStorage(RedisJournal(url))
    from raytrainer.search.database import exists, open_tables

    return open_tables(url) if exists(url) else None

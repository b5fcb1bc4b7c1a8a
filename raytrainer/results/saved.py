"""A study as it lies on disk, read while it runs or after, without touching what its driver holds."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from raytrainer.config.earlier import up_to_date
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.parameters import parameter_of
from raytrainer.config.problems import Problem, UserError, suggest
from raytrainer.config.space import Space
from raytrainer.config.storage import FOLDER, Storage
from raytrainer.results.cost import hours_of
from raytrainer.search.budget import Standing
from raytrainer.search.earlier_spaces import Earlier, earlier_of
from raytrainer.search.enough import Enough
from raytrainer.search.first_failures import BROKEN
from raytrainer.search.lock import LOCK, has_ended
from raytrainer.search.meter import Meter
from raytrainer.search.planning import Planner
from raytrainer.search.population import Generation, generations
from raytrainer.search.reading import StudyRecord, holder_at, names_at, read_record
from raytrainer.search.views import TrialView


@dataclass(frozen=True)
class SavedStudy:
    """What the files of a study say at one moment."""

    folder: StudyFolder
    space: Space
    trials: Sequence[TrialView]
    driver: str | None
    """Who runs it now, such as `process 4711 on node3`; None if nobody does."""
    seconds: float = 0.0
    """That drivers have spent on it, as it was last written down."""
    enough: Enough | None = None
    """Why no trial is begun any more, if its model expects too little of the rest."""
    broken: str | None = None
    """What it stopped for, if its trials fail alike or none keeps the constraints."""
    earlier: tuple[Earlier, ...] = ()
    """What it searched before it was extended."""
    generations: tuple[Generation, ...] = ()
    """How those of a population went over into each other, by their epochs."""

    @property
    def standing(self) -> Standing:
        """How it stands to its budget; of what is trained now, up to the last report."""
        meter = Meter(self.space.search.budget, self.trials, self.seconds, partial(hours_of, self.folder))
        return Planner.of(self.space).standing(self.trials, meter.taken, self.enough)


def read_study(study: str, storage: str = FOLDER) -> SavedStudy:
    """Read a study.

    Args:
        study: its folder, or its name within `storage`.
        storage: the folder of studies, or the URL that holds them.

    Raises:
        UserError: if there is none, naming the nearest one, or if its files or its storage cannot be read.
    """
    try:
        return _read_study(study, _storage(storage))
    except PermissionError as error:
        raise UserError([Problem(error.filename, None, None, f"cannot be read: {error.strerror}")]) from error


def _read_study(study: str, asked: Storage) -> SavedStudy:
    if asked.url is None:
        folder = StudyFolder(find_study(study, asked.folder))
        space = load_space(folder.space) if folder.space.is_file() else None
        # The file of a study that was moved or renamed is where it is, whatever its space says.
        asked = Storage() if space is None or folder.journal.is_file() else space.storage
        name = study if space is None else space.name
    else:
        folder, name, space = StudyFolder(Path(asked.folder) / study), study, None
    record = read_record(folder, asked, name)
    if record is None and asked.url is None:
        missing = f"has a {folder.space.name}, but no {folder.journal.name}, which holds its trials: put it back"
        raise UserError([Problem(str(folder.path), None, None, missing)])
    if record is None:
        raise _none(study, str(asked), names_at(asked.url) if asked.url else [])
    space = space or _space_of(record)
    driver = driver_of(folder) or (holder_at(asked.url, name) if asked.url else None)
    seconds, found = float(record.attrs.get("seconds", 0)), Enough.kept(record.attrs, space.search)
    broken, earlier, turned = record.attrs.get(BROKEN), earlier_of(record.attrs), tuple(generations(record.attrs))
    return SavedStudy(folder, space, record.trials, driver, seconds, found, broken, earlier, turned)


def find_study(study: str, storage: str = FOLDER) -> Path:
    """The folder of a study given by its folder or its name.

    Raises:
        UserError: if there is none, naming the nearest one.
    """
    for path in (Path(study), Path(storage) / study):
        if _is_study(path):
            return path
    raise _none(study, f"{storage}/", sorted(path.name for path in Path(storage).glob("*") if _is_study(path)))


def _is_study(path: Path) -> bool:
    """Whether a study is in the folder, or one whose storage is elsewhere."""
    return StudyFolder(path).journal.is_file() or StudyFolder(path).space.is_file()


def _storage(text: str) -> Storage:
    try:
        return Storage.parse(text)
    except ValueError as error:
        raise UserError([Problem("--storage", None, None, str(error))]) from None


def _none(study: str, storage: str, names: Sequence[str]) -> UserError:
    there = suggest(study, names) if names else f"; {storage} holds no study"
    return UserError([Problem(None, None, None, f"there is no study '{study}' here or in {storage}{there}")])


def _space_of(record: StudyRecord) -> Space:
    """The space as the study itself keeps it, for whoever has no folder of it."""
    if "space" not in record.attrs:
        raise UserError([Problem(None, None, None, "it is an Optuna study, but none of this package")])
    stored = up_to_date(record.attrs["space"])
    kept = {key: value for key, value in stored.items() if key in Space.model_fields}
    return Space(**{**kept, "space": {name: parameter_of(plain) for name, plain in kept["space"].items()}})


def driver_of(folder: StudyFolder) -> str | None:
    """Who drives a study now; None if nobody does.

    The kernel knows: it holds the driver's lock for as long as that process lives. It is asked by trying for a shared
    lock, given back at once, and not even that if the process that is named there has ended on this machine.
    """
    try:
        with open(folder.path / LOCK, encoding="utf-8") as file:
            holder = file.read()
            return holder if holder and not has_ended(holder) and _is_locked(file) else None
    except FileNotFoundError:
        return None


def _is_locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False

"""The folder of a study: nothing of anybody else's is written over in it, and a start that failed leaves nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from raytrainer.config.layout import StudyFolder
from raytrainer.config.named_files import named_files
from raytrainer.config.problems import Problem, UserError
from raytrainer.config.storage import FOLDER, Storage
from raytrainer.config.yaml_lines import read_yaml

if TYPE_CHECKING:
    from raytrainer.config.space import Space
    from raytrainer.search.study import Study

WRITTEN_OUT = {"name", "storage", "keep", "train", "trainer", "search"}
"""Keys that the space file of a study always has, and one that somebody wrote hardly ever: it has every default."""


def beside(space: Space) -> Space:
    """The space under the first free name: `detr`, `detr-2`, `detr-3`."""
    from raytrainer.search.reading import names_at

    taken = names_at(space.storage.url) if space.storage.url else []
    names = [space.name, *(f"{space.name}-{n}" for n in range(2, 10_000))]
    folders = ((name, StudyFolder(Path(space.storage.folder) / name)) for name in names if name not in taken)
    free = next(name for name, folder in folders if not folder.journal.exists() and not _in_the_way(folder))
    return space.model_copy(update={"name": free})


def refuse_foreign(folder: StudyFolder, space: Space) -> None:
    """Make sure, before anything is written, that a folder is free for the study of a space, or has it.

    Raises:
        UserError: if it has another study, or files of such names that are no study's.
    """
    url = space.storage.url
    known = _studies_of(folder)
    if str(url or folder.journal) in known:
        return
    if known:
        moved = f". If that has moved, write where to into its {folder.space.name}" if folder.space.is_file() else ""
        raise _refused(folder, f"has another study, the one in {known[0]}: choose another --name{moved}")
    there = [path.name for path in _in_the_way(folder) if path != folder.files or not _are_copies(folder, space)]
    if there and (folder.space.is_file() or not _is_begun(folder, space)):
        message = f"has {' and '.join(there)}, but no study that this would go on with"
        raise _refused(folder, f"{message}: choose another --name or --storage, or move that away")


def refuse_mixture(study: Study, space: Space) -> None:
    """Several folders can share a database; the trials of a study are in one of them.

    Raises:
        UserError: if a study has begun and its trials are not in its folder, or has not and some are there.
    """
    url, folder = space.storage.url, study.folder
    if any(view.values for view in study.snapshot()) and not folder.trials.is_dir() and url is not None:
        where = f"its trials are not in {folder.path}"
        message = f"{url} has a study {space.name!r}, but {where}: choose another --name, or its folder"
        raise UserError([Problem(None, None, None, message)])
    if not study.snapshot() and _holds(folder.trials):
        message = f"has trials of a study that is not in {url or folder.journal} any more: choose another --name"
        raise _refused(folder, message)


def absent(folder: StudyFolder) -> list[Path]:
    """What a start makes in the folder of its study, and is not there yet."""
    made = (folder.space, folder.journal, folder.files, folder.trials)
    return [path for path in made if not path.exists()]


def remove(made: list[Path]) -> None:
    """Remove what a start made that failed before its first trial."""
    for path in made:
        if path.name == StudyFolder(path.parent).files.name:
            rmtree(path, ignore_errors=True)
        elif path.is_dir():
            with suppress(OSError):  # somebody has put something there
                path.rmdir()
        else:
            path.unlink(missing_ok=True)


def _studies_of(folder: StudyFolder) -> list[str]:
    """Where the study of a folder is: its file, or the URL in its space."""
    found = [str(folder.journal)] if folder.journal.is_file() else []
    with suppress(UserError, ValueError):  # then it is none of ours
        space, _ = read_yaml(folder.space) if folder.space.is_file() else ({}, None)
        kept = Storage.parse(space.get("storage", FOLDER))
        if space.keys() >= WRITTEN_OUT and kept.url is not None:
            found.append(str(kept.url))
    return found


def _in_the_way(folder: StudyFolder) -> list[Path]:
    """What a study would write over, or take for its own."""
    return [path for path in (folder.space, folder.files, folder.trials, folder.best) if _holds(path)]


def _are_copies(folder: StudyFolder, space: Space) -> bool:
    """Whether the copies of files are those that a start makes; one that could not open its study has left them."""
    copies = {folder.files / str(key[-1]) / file.name for key, file in named_files(space).items()}
    return copies.issuperset(path for path in folder.files.rglob("*") if not path.is_dir())


def _holds(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _is_begun(folder: StudyFolder, space: Space) -> bool:
    """Whether the study has trials at its URL: the space file of its folder may have been lost."""
    from raytrainer.search.reading import read_record

    if space.storage.url is None:
        return False
    record = read_record(folder, space.storage, space.name)
    return record is not None and bool(record.trials)


def _refused(folder: StudyFolder, message: str) -> UserError:
    from raytrainer.results.announcement import shown

    return UserError([Problem(shown(folder.path), None, None, message)])

"""The files that a space names beside its dataset: the model, what it starts from, a fitness of the user's own."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytrainer.config.assets import downloaded, with_suffix
from raytrainer.config.layout import FILES
from raytrainer.config.load import FILE_ARGUMENTS, FUNCTION
from raytrainer.config.problems import KeyPath
from raytrainer.config.space import Space

FITNESS: KeyPath = ("fitness",)
PLACES: tuple[KeyPath, ...] = (("model",), *(("train", name) for name in FILE_ARGUMENTS), FITNESS)
"""Keys of a space that may name a file."""


def named_files(space: Space, *, by_name: bool = False) -> dict[KeyPath, Path]:
    """The files that a space names and that are here, by their keys.

    Args:
        space: as `load_space` gives it, with absolute paths.
        by_name: also those that Ultralytics finds by a name such as `yolo11n.pt`.
    """
    found = {}
    for key in PLACES:
        file = _file(key, _value(space, key))
        if file is not None and (by_name or file.is_absolute()) and file.is_file():
            found[key] = file
    return found


def renamed(space: Space, files: Mapping[KeyPath, Path]) -> Space:
    """The space with other files at these keys."""
    changes: dict[str, Any] = {}
    for key, file in files.items():
        if key == FITNESS:
            changes["fitness"] = f"{file}:{_rest(FITNESS, space.fitness)}"
        elif key[0] == "train":
            changes["train"] = {**changes.get("train", space.train), str(key[1]): str(file)}
        else:
            changes[str(key[0])] = str(file)
    return space.model_copy(update=changes)


def same_file(key: KeyPath, one: Any, other: Any) -> bool:
    """Whether two values at a key name files with one name and the same contents, or the same copy of a study's.

    A study that has moved, or goes on where the user's files lie elsewhere, is the same study.
    """
    if key not in PLACES:
        return False
    mine, its = _file(key, one), _file(key, other)
    if mine is None or its is None or (mine.name, _rest(key, one)) != (its.name, _rest(key, other)):
        return False
    if mine.is_file() and its.is_file():
        return filecmp.cmp(mine, its, shallow=False)
    return mine.parts[-3:] == its.parts[-3:] and mine.parent.parent.name == FILES


def _value(space: Space, key: KeyPath) -> Any:
    return space.train.get(str(key[1])) if key[0] == "train" else getattr(space, str(key[0]))


def _file(key: KeyPath, value: Any) -> Path | None:
    """The file that a value means; None if it means none."""
    if not isinstance(value, str):
        return None
    if key == FITNESS:
        function = FUNCTION.match(value)
        return Path(function["file"]) if function else None
    return downloaded(with_suffix(value)) or Path(value)


def _rest(key: KeyPath, value: Any) -> str:
    """What is said beside the file: the function of a fitness."""
    return str(value).rpartition(":")[2] if key == FITNESS else ""

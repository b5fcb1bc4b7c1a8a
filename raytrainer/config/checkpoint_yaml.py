"""The model YAML that a checkpoint carries, read without torch and without running anything that the file holds."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

PICKLE_LIMIT = 64_000_000
"""Bytes of the pickled structure, which is about 0.1 MB for a small model; the tensors lie beside it."""


class NoCheckpoint(ValueError):
    """A file that is no checkpoint of PyTorch."""


def checkpoint_yaml(file: Path) -> dict[str, Any] | None:
    """`yaml` of the model in a checkpoint, with the `task` it was trained for; None if it holds none that is readable.

    Raises:
        NoCheckpoint: if the file cannot be a checkpoint.
    """
    content = _content(file)
    return None if content is None else _model_yaml(content)


def is_stripped(file: Path) -> bool:
    """Whether a checkpoint is for use only, without the state of a training (`strip_optimizer` of Ultralytics).

    Raises:
        NoCheckpoint: if the file cannot be a checkpoint.
    """
    content = _content(file) or {}
    return content.get("epoch") == -1 and all(key in content and content[key] is None for key in ("optimizer", "ema"))


def _content(file: Path) -> dict[str, Any] | None:
    """What a checkpoint holds, but for tensors and objects; None if that is not readable."""
    if not zipfile.is_zipfile(file):
        with file.open("rb") as opened:
            if opened.read(1) != b"\x80":
                raise NoCheckpoint(f"{file} is not a checkpoint of PyTorch")
        return None  # the format before torch 1.6
    with zipfile.ZipFile(file) as archive:
        name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if name is None:
            raise NoCheckpoint(f"{file} is not a checkpoint of PyTorch")
        if archive.getinfo(name).file_size > PICKLE_LIMIT:
            return None
        structure = archive.read(name)
    try:
        content = _Reader(io.BytesIO(structure)).load()
    except Exception:
        return None
    return content if isinstance(content, dict) else None


def _model_yaml(content: dict[str, Any]) -> dict[str, Any] | None:
    for model in (content.get("ema"), content.get("model")):
        if isinstance(model, _Inert) and isinstance(found := vars(model).get("yaml"), dict):
            arguments = content.get("train_args")
            task = arguments.get("task") if isinstance(arguments, dict) else None
            return {**found, "task": task or found.get("task") or vars(model).get("task")}
    return None


class _Inert:
    """Stands for every class and function of a pickle: takes anything, keeps its state, does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _Inert:
        return _Inert()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            vars(self).update({key: value for key, value in state.items() if isinstance(key, str)})

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """For the items of a pickled list subclass."""

    def extend(self, values: Any) -> None:
        """For the items of a pickled list subclass."""

    def add(self, value: Any) -> None:
        """For the items of a pickled set."""


class _Reader(pickle.Unpickler):
    """Builds nothing but plain data, ordered dictionaries and inert objects."""

    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Inert

    def persistent_load(self, pid: Any) -> Any:  # noqa: ARG002  tensors' storages
        return _Inert()

"""`weights/state.pt`: all that an exact resume needs, written whole or not at all, with the one before it kept."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ultralytics.utils import LOGGER

from raytrainer.trainer import atomic

FORMAT = 1
NAME, PREVIOUS = "state.pt", "state.prev.pt"
BEST_ASIDE = ".best.pt.aside"
"""What will be best.pt with the next checkpoint."""

State = Mapping[str, Any]
"""Tensors and plain data only, so that reading it runs no code."""


def write_state(folder: Path, state: State) -> None:
    """Write `state.pt`; the one that was there becomes `state.prev.pt`.

    Raises:
        DiskFull: if it is; the one that was there stays.
    """
    atomic.write(folder / NAME, lambda file: torch.save({"format": FORMAT, **state}, file), folder / PREVIOUS)


def read_state(folder: Path) -> State | None:
    """The newest whole state of a run; None if there is none. A damaged one is told in the log and passed over."""
    for name in (NAME, PREVIOUS):
        if (folder / name).is_file():
            try:
                return _read(folder / name)
            except ValueError as damage:
                LOGGER.warning(f"{folder / name} cannot be used: {damage}")
    return None


def has_state(folder: Path) -> bool:
    """Whether there is the state of a run, whole or damaged."""
    return any((folder / name).is_file() for name in (NAME, PREVIOUS))


def remove_states(folder: Path) -> None:
    """Remove the states of an earlier run, and what processes that were killed left unfinished."""
    for path in (folder / NAME, folder / PREVIOUS, folder / BEST_ASIDE, *folder.glob(".*.partial")):
        path.unlink(missing_ok=True)


def replace_states(folder: Path, state: State) -> None:
    """Leave one small state behind at the end of a run, when nobody needs its tensors any more."""
    atomic.write(folder / NAME, lambda file: torch.save({"format": FORMAT, **state}, file))
    (folder / PREVIOUS).unlink(missing_ok=True)


def _read(path: Path) -> State:
    """Raises ValueError if the file is damaged; torch itself does not compare the checksums that it writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"its part {damaged} is damaged")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, RuntimeError, OSError) as error:
        raise ValueError(f"it is damaged ({error})") from error
    if state.get("format") != FORMAT:
        raise ValueError(f"it has format {state.get('format')}, this version reads {FORMAT}")
    return state

"""A run goes on from another run's checkpoint: its files are taken over. Needs no torch, since a driver does it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from raytrainer.trainer.atomic import sync_folder

OWNER_FILE = ".owner"
"""By which the process that trains a run is known (see `ownership`)."""
APPENDED = ("records.jsonl", "results.csv")
"""What a run adds to in its place; every other file of it is replaced as a whole."""


def take_over(source: Path, target: Path) -> None:
    """Put the run in `source` in the place of the one in `target`; what `target` has logged stays.

    Neither may be training, and `source` must stand still until this has returned. Checkpoints become links where the
    file system has them, and so take no space of their own. If it is interrupted, it can be done again.

    Raises:
        OSError: if a file cannot be written.
    """
    (target / "weights").mkdir(parents=True, exist_ok=True)
    (target / OWNER_FILE).unlink(missing_ok=True)  # whoever trained it must not write to it any more
    checkpoints = {path.name for path in (source / "weights").glob("[!.]*.pt")}
    for old in (target / "weights").glob("*.pt"):
        if old.name not in checkpoints:
            old.unlink()
    for name in sorted(checkpoints):
        _put(source / "weights" / name, target / "weights" / name, link=True)
    for name in APPENDED:
        if (source / name).exists():
            _put(source / name, target / name, link=False)
    sync_folder(target / "weights")
    sync_folder(target)


def _put(source: Path, target: Path, *, link: bool) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        if not (link and _linked(source, partial)):
            shutil.copyfile(source, partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)  # a link to what has that name already is not renamed


def _linked(source: Path, target: Path) -> bool:
    """Whether the file system has taken a link; some have none."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True

"""What a study takes of its disk.

That is bounded. A trial that trains has `last.pt`, `best.pt`, `state.pt` and the state before it, and one more while it
writes; one that has ended keeps `best.pt` at most, and only the best does, or those on the front of several objectives,
of which `front/` has copies, unless `keep:` says otherwise. A paused one may go on and keeps what it had. Beside them
lie the study's file, and of every trial its log, records and settings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

OLD = 30.0
"""Seconds after which files are counted again: a study has many."""


class DiskUse:
    """Bytes of all files under a folder, as of a short while ago.

    Args:
        clock: seconds, only ever growing.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._counted: tuple[float, int] | None = None

    def __call__(self) -> int:
        """Count them, if that was not done just now."""
        if self._counted is None or self._clock() - self._counted[0] > OLD:
            self._counted = self._clock(), disk_use(self._folder)
        return self._counted[1]


def disk_use(folder: Path) -> int:
    """Bytes of all files under a folder. What vanishes meanwhile, or cannot be looked at, counts as nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def size(count: float) -> str:
    """Bytes for reading: `12.3 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"

"""How long the process of a trial has held what the trial reserves: lines beside the records, told by the process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from raytrainer.trainer.atomic import append


@dataclass(frozen=True, slots=True)
class Holding:
    """One stretch from when a process took a trial up until it let it go, or until it was last heard of.

    A trial that was interrupted or paused has several. Of a process that was killed, what it had done since the last
    validated epoch is missing; so is what passed before it began, such as the wait for a node.
    """

    stretch: str
    """The same in all lines about it, of which the last one counts."""
    cpus: float
    """Of all ranks together."""
    gpus: float
    seconds: float


class Holder:
    """Writes down one stretch.

    Args:
        path: `holdings.jsonl` in the trial's folder.
        cpus: CPUs of the trial's ranks together; `gpus` likewise.
        since: when it began, by `time.monotonic`.
    """

    def __init__(self, path: Path, cpus: float, gpus: float, since: float) -> None:
        self._path, self._cpus, self._gpus, self._since = path, cpus, gpus, since
        self._stretch = uuid4().hex[:8]

    def still(self) -> None:
        """The trial is held until now."""
        holding = Holding(self._stretch, self._cpus, self._gpus, round(time.monotonic() - self._since, 3))
        with suppress(OSError):  # no trial ends for it; the next line says the same and more
            append(self._path, json.dumps(asdict(holding)).encode() + b"\n")


def read_holdings(path: Path) -> list[Holding]:
    """What a `holdings.jsonl` says, one a stretch; none if it is not there."""
    if not path.is_file():
        return []
    return list({holding.stretch: holding for holding in _lines(path)}.values())


def _lines(path: Path) -> Iterator[Holding]:
    """A torn line, as a crash or a full disk leaves it, is passed over."""
    for line in path.read_bytes().splitlines():
        with suppress(ValueError, TypeError):
            said: dict[str, Any] = json.loads(line)
            yield Holding(**said)

"""One record for every validated epoch: the only thing that leaves a training run while it runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from raytrainer.trainer.atomic import append, write_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one validated epoch gave. Numbers are plain Python floats; a metric may be NaN, never missing.

    `metrics` uses the names of the fitness expression: `mAP50-95`, `mAP50`, `precision`, `recall`, `F1`, and per class
    `AP[name]`, `AP50[name]`, `precision[name]`, `recall[name]`, `F1[name]`; the second kind of prediction of a task
    carries its suffix, as in `mAP50(M)` or `AP(P)[person]`. What was measured of the architecture is there where it was
    asked for: `latency_ms`, `params`, `GFLOPs`.
    """

    epoch: int
    """Counted from 1."""
    fitness: float
    best_fitness: float
    """Best fitness so far, the one whose weights best.pt holds: of an epoch without violations, if there is one."""
    best_epoch: int
    metrics: dict[str, float] = field(default_factory=dict)
    others: list[float] = field(default_factory=list)
    """The values of all objectives but the first, which is the fitness; empty where there is one."""
    violations: list[float] = field(default_factory=list)
    """How far each constraint was violated, see `raytrainer.config.constraints.Constraint.violation`."""
    losses: dict[str, float] = field(default_factory=dict)
    """Training and validation losses, `train/box_loss` and so on."""
    lr: dict[str, float] = field(default_factory=dict)
    """Learning rate of every optimizer group at the end of the epoch, by the group's name."""
    grad_norm: float | None = None
    """Mean over the epoch's optimizer steps of the gradient norm before clipping; None if no step was taken."""
    grad_norm_max: float | None = None
    clipped_share: float | None = None
    """Share of the optimizer steps whose gradient was clipped, 0 to 1."""
    epoch_seconds: float = 0.0
    """Wall time of the epoch, validation included, and without the time that a search took to let it go on."""
    peak_memory: int = 0
    """Bytes: most allocated on the GPU since the run began, or on a CPU the process's largest resident set."""

    def to_json(self) -> str:
        """One line of `records.jsonl`. NaN and infinity are written as Python's json does."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str | bytes) -> EpochRecord:
        """The record of one line of `records.jsonl`.

        Raises:
            ValueError: if the line is not JSON. TypeError: if it has other fields, or no numbers in them.
        """
        data: dict[str, Any] = json.loads(line)
        record = cls(**data)
        numbers = [record.epoch, record.fitness, record.epoch_seconds, *dict(record.metrics).values()]
        if wrong := [value for value in numbers if not isinstance(value, int | float)]:
            raise TypeError(f"expected a number, got {wrong[0]!r}")
        return record


def read_records(path: Path) -> list[EpochRecord]:
    """The records of a `records.jsonl`; none if it is not there.

    A last line without an end was being written when its process died, and is dropped: the epoch is trained again.

    Raises:
        ValueError: if any other line is broken.
    """
    return [EpochRecord.from_json(line) for _, line in _lines(path)]


def readable_records(path: Path) -> list[EpochRecord]:
    """The same for whoever only looks: a damaged line is passed over, with a warning the first time."""
    found = []
    for number, line in _lines(path):
        try:
            found.append(EpochRecord.from_json(line))
        except (ValueError, TypeError):
            _warn(path, number)
    return found


@cache
def _warn(path: Path, number: int) -> None:
    log.warning("%s:%d: is no record of an epoch any more, and is passed over", path, number)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that have an end, counted from 1."""
    whole, _, _torn = (path.read_bytes() if path.is_file() else b"").rpartition(b"\n")
    return ((number, line) for number, line in enumerate(whole.split(b"\n"), 1) if line.strip())


def write_records(path: Path, records: Iterable[EpochRecord]) -> None:
    """Replace the file by these records, whole or not at all."""
    write_bytes(path, "".join(record.to_json() + "\n" for record in records).encode())


def append_record(path: Path, record: EpochRecord) -> None:
    """Add one line, whole or not at all but for a crash in the middle of it."""
    append(path, record.to_json().encode() + b"\n")


def told_since(path: Path, records: Sequence[EpochRecord]) -> list[EpochRecord]:
    """The records of a `records.jsonl` beyond those of the checkpoint that a run goes on from.

    They were reported, and their epochs are to be trained again. None of a file that does not begin with `records`,
    which is another run's, or that is damaged.
    """
    try:
        known = read_records(path)
    except (ValueError, TypeError):
        return []
    same = [record.to_json() for record in known[: len(records)]] == [record.to_json() for record in records]
    return known[len(records) :] if same else []

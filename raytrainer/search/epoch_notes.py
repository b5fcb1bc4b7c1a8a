"""What a trial keeps of an epoch beside its fitness, and how Optuna is told of constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

OF_EPOCH = "raytrainer:epoch:"
"""Trial attribute of Optuna's `system_attrs`, followed by an epoch: `{"violations": [...]}`."""
CONSTRAINTS = "constraints"
"""Where Optuna's samplers and its dashboard read the constraints of a trial, 0 or less where they are kept."""


def epoch_key(epoch: int) -> str:
    """The attribute of an epoch, counted from 1."""
    return f"{OF_EPOCH}{epoch}"


def epoch_note(violations: Sequence[float]) -> dict[str, Any]:
    """What is to be kept of an epoch."""
    return {"violations": list(violations)} if violations else {}


def violations_of(trial: FrozenTrial) -> dict[int, list[float]]:
    """By epoch, how far each constraint was violated."""
    return {epoch: note["violations"] for epoch, note in _notes(trial.system_attrs).items() if "violations" in note}


def _notes(attrs: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    found = {key: value for key, value in attrs.items() if key.startswith(OF_EPOCH)}
    return {int(key.removeprefix(OF_EPOCH)): value for key, value in found.items()}


def told(trial: FrozenTrial) -> Sequence[float]:
    """What Optuna is told of a trial's constraints."""
    return tuple(trial.constraints.values())


def attrs_of(
    violations: Mapping[int, Sequence[float]], constraints: Sequence[float], until: int | None = None
) -> dict[str, Any]:
    """The attributes of a trial with these violations by epoch, up to `until`, and what Optuna is told at its end."""
    notes = {epoch_key(at): epoch_note(each) for at, each in violations.items() if until is None or at <= until}
    return {**notes, CONSTRAINTS: list(constraints)} if constraints else notes

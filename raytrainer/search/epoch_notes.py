"""What a trial keeps of an epoch beside its fitness, and how Optuna is told of constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from optuna.trial import FrozenTrial

OF_EPOCH = "raytrainer:epoch:"
"""Trial attribute of Optuna's `system_attrs`, followed by an epoch: `{"violations": [...], "others": [...]}`, the one
in a study with constraints, the other in one of several objectives."""
CONSTRAINTS = "constraints"
"""Where Optuna's samplers and its dashboard read the constraints of a trial, 0 or less where they are kept."""


def epoch_key(epoch: int) -> str:
    """The attribute of an epoch, counted from 1."""
    return f"{OF_EPOCH}{epoch}"


def epoch_note(violations: Sequence[float], others: Sequence[float] = ()) -> dict[str, Any]:
    """What is to be kept of an epoch: how far constraints are violated, and all objectives but the fitness."""
    return {key: list(each) for key, each in (("violations", violations), ("others", others)) if each}


def not_finite(objectives: Sequence[str], fitness: float, others: Sequence[float]) -> str | None:
    """`the fitness was nan`, or the like of another objective, if one is not finite; `objectives` are in words."""
    if not math.isfinite(fitness):
        return f"the fitness was {fitness}"
    pairs = zip(objectives[1:], others, strict=True)
    return next((f"the objective {text} was {value}" for text, value in pairs if not math.isfinite(value)), None)


def violations_of(trial: FrozenTrial) -> dict[int, list[float]]:
    """By epoch, how far each constraint was violated."""
    return _notes(trial.system_attrs, "violations")


def others_of(trial: FrozenTrial) -> dict[int, list[float]]:
    """By epoch, all objectives but the first."""
    return _notes(trial.system_attrs, "others")


def _notes(attrs: Mapping[str, Any], kind: str) -> dict[int, list[float]]:
    return {at: note[kind] for key, note in attrs.items() if (at := _epoch_of(key)) is not None and kind in note}


@cache  # a long study has the same few keys thousands of times, read anew for every suggestion
def _epoch_of(key: str) -> int | None:
    return int(key.removeprefix(OF_EPOCH)) if key.startswith(OF_EPOCH) else None


def told(trial: FrozenTrial) -> Sequence[float]:
    """What Optuna is told of a trial's constraints."""
    return tuple(trial.constraints.values())


def attrs_of(
    violations: Mapping[int, Sequence[float]],
    others: Mapping[int, Sequence[float]],
    constraints: Sequence[float],
    until: int | None = None,
) -> dict[str, Any]:
    """The attributes of a trial with these notes by epoch, up to `until`, and what Optuna is told at its end."""
    epochs = sorted(at for at in {*violations, *others} if until is None or at <= until)
    notes = {epoch_key(at): epoch_note(violations.get(at, ()), others.get(at, ())) for at in epochs}
    return {**notes, CONSTRAINTS: list(constraints)} if constraints else notes

"""Whether the schedule of a best.yaml, which may have been edited, can be trained beside what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raytrainer.config.form import schema_of
from raytrainer.config.mutable import MUTABLE, is_mutable
from raytrainer.config.problems import Origins, Problem, suggest
from raytrainer.config.values import Mismatch, convert
from raytrainer.results.best_file import BestFile


def scheduled(
    best: BestFile, flags: Mapping[str, str], fields: Mapping[str, Any], origins: Origins
) -> Iterator[Problem]:
    """One problem for every value of the schedule that cannot change, epoch out of order, and flag that it overrides.

    Args:
        best: the file.
        flags: those that are given, by the key that each changes.
        fields: of the space that both make (see `Form`).
        origins: where the file's values stand.
    """
    names = {name for stage in best.schedule for name in stage.values}
    for key, flag in flags.items():
        name = key.partition(".")[2]
        if name in names or any(each.startswith(f"{name}.") for each in names if name):
            message = "changes while it trains: edit the schedule of the best.yaml, or take it out"
            yield Problem(flag, None, name, message)
    before = 1
    for index, stage in enumerate(best.schedule):
        if stage.epoch <= before:
            message = f"expected an epoch after {before}, got {stage.epoch}"
            yield origins.problem(("schedule", index, "epoch"), message)
        before = stage.epoch
        for name, value in stage.values.items():
            if wrong := _wrong(name, value):
                yield origins.problem(("schedule", index, "values", name), wrong)
    epochs = fields.get("train", {}).get("epochs")
    if best.schedule and isinstance(epochs, int) and before > epochs:
        message = f"the last values come into force at epoch {before}, and there are {epochs}"
        yield origins.problem(("schedule",), message)


def _wrong(name: str, value: Any) -> str | None:
    schema = schema_of(name) if is_mutable(name) else None
    if schema is None:
        return f"cannot change while a model trains{suggest(name, sorted(MUTABLE))}"
    try:
        convert(schema, value)
    except Mismatch as mismatch:
        return str(mismatch)
    return None

"""Whether the schedule of a best.yaml, which may have been edited, can be trained beside what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any

from raytrainer.config.check import check
from raytrainer.config.document import by_class
from raytrainer.config.form import schema_of
from raytrainer.config.mutable import MUTABLE, is_mutable
from raytrainer.config.problems import KeyPath, Origins, Problem, suggest
from raytrainer.config.settings import Settings, idle
from raytrainer.config.space import Space
from raytrainer.config.values import Mismatch, convert, show
from raytrainer.results.best_file import BestFile, StageRecord


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


def stage_problems(space: Space, schedule: Sequence[StageRecord]) -> list[Problem]:
    """What `check` finds of the values in force at the first stage of which it finds anything, at their own lines.

    Args:
        space: of the beginning, of which `check` finds nothing.
        schedule: whose form is right (see `scheduled`).
    """
    for index, stage in enumerate(schedule):
        stage_space = space.model_copy(update={"train": dict(space.train), "trainer": dict(space.trainer)})
        stage_space._origins = copy(space._origins)
        for name, value in stage.values.items():
            place = ("schedule", index, "values", name)
            if refused := _put(stage_space, name, value, place):
                return [refused]
        found = check(_without_leftovers(stage_space, stage)) if stage.values else []
        if wrong := [problem for problem in found if problem.key != "space"]:
            return wrong
        space = stage_space
    return []


def _without_leftovers(space: Space, stage: StageRecord) -> Space:
    """Without what did something in an earlier stage only, as a power of class weights that there are none of now."""
    stated = {(by_class(name) or (name,))[0] for name in stage.values}
    left = idle(space.trainer).keys() - stated
    kept = space.model_copy(
        update={"trainer": {name: each for name, each in space.trainer.items() if name not in left}}
    )
    kept._origins = space._origins
    return kept


def _put(space: Space, name: str, value: Any, place: KeyPath) -> Problem | None:
    """Let a value that stands at `place` be a fixed one of the space; the problem if it cannot be."""
    setting, *label = by_class(name) or (name,)
    section, fields = ("trainer", space.trainer) if setting in Settings.model_fields else ("train", space.train)
    if label:
        before = fields.get(setting) or {}
        if not isinstance(before, dict):
            return space.problem(place, f"{setting} is {show(before)} there, which is not by class")
        value = {**before, label[0]: value}
    fields[setting] = value
    space._origins.replace((section, setting, *label), space._origins.at(place))
    return None


def _wrong(name: str, value: Any) -> str | None:
    schema = schema_of(name) if is_mutable(name) else None
    if schema is None:
        return f"cannot change while a model trains{suggest(name, sorted(MUTABLE))}"
    try:
        convert(schema, value)
    except Mismatch as mismatch:
        return str(mismatch)
    return None

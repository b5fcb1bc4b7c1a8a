"""Puts ranges and defaults where a space says `auto`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raytrainer.config import ultralytics_arguments
from raytrainer.config.automatic import (
    AUTO,
    CLASS_POWER,
    EQUAL,
    Grounds,
    Range,
    chosen,
    class_weights,
    reason,
)
from raytrainer.config.check import dataset_of
from raytrainer.config.document import CLASS_OFFSETS, CLASS_WEIGHTS
from raytrainer.config.form import schema_of
from raytrainer.config.model_file import model_facts
from raytrainer.config.parameter_form import parse_parameter
from raytrainer.config.parameters import Categorical, Parameter
from raytrainer.config.problems import Problem, UserError
from raytrainer.config.search_size import row
from raytrainer.config.space import Space
from raytrainer.config.trained_classes import alike, as_trained


def fill_in(space: Space, announce: Callable[[str], None] = print) -> Space:
    """The same space with a range and a default for every parameter that is `auto`.

    Args:
        space: as loaded; one without `auto` is returned as it is, and nothing is read.
        announce: takes one line for every parameter.

    Raises:
        UserError: if the dataset or the model cannot be read, or no range follows from them.
    """
    if not space.automatic:
        return space
    grounds = _grounds(space)
    if problems := list(_impossible(space, grounds)):
        raise UserError(problems)
    filled = dict(space.space)
    for name in space.automatic:
        found = _class_weights(space, grounds) if name == CLASS_WEIGHTS else {name: _read(name, chosen(name, grounds))}
        filled |= found
        for line in _told(name, found, grounds):
            announce(f"{name}: {AUTO} {line}")
    fixed = _fixed(space, filled)
    if CLASS_POWER in fixed:
        announce(f"{CLASS_WEIGHTS}: {AUTO} fixes {CLASS_POWER} at {EQUAL:g}")
    return space.filled(filled, {**space.trainer, **fixed})


def _told(name: str, found: Mapping[str, Parameter], grounds: Grounds) -> Iterator[str]:
    """What is put in, a line for each parameter, or why nothing is."""
    for parameter, put in found.items():
        shown = row(parameter, put)
        why = f"; {note}" if (note := reason(name, grounds)) else ""
        yield f"searches {shown.name}, {shown.kind}, {shown.range}; default {shown.default}{why}"
    if not found:
        yield f"adds nothing to the search: {alike(grounds.dataset) or 'what it would add is given, or taken out'}"


def _grounds(space: Space) -> Grounds:
    facts = model_facts(space.model)
    dataset, problems = dataset_of(space, facts)
    place = ("space", space.automatic[0])
    if facts.family is None:
        problems.append(space.problem(place, f"{AUTO} needs a model that is known: {facts.problem or space.model}"))
    elif dataset is None and not problems:
        problems.append(space.problem(place, f"{AUTO} needs the dataset, and that is not here yet"))
    if problems or dataset is None or facts.family is None:
        raise UserError(problems)
    train = ultralytics_arguments.defaults() | space.train
    return Grounds(facts.family, facts.task, train, as_trained(dataset, train), _optimizers(space, train))


def _optimizers(space: Space, train: Mapping[str, Any]) -> list[str]:
    """Those that a trial may have, the default before the others."""
    searched = space.space.get("optimizer")
    if not isinstance(searched, Categorical):
        return [train["optimizer"]]
    return [str(searched.default), *(str(choice) for choice in searched.choices if choice != searched.default)]


def _impossible(space: Space, grounds: Grounds) -> Iterator[Problem]:
    for name in space.automatic:
        if name == CLASS_WEIGHTS and grounds.task == "classify":
            yield space.problem(("space", name), "has no effect: a classifier's loss has no class weights")
        elif name == CLASS_WEIGHTS and not grounds.dataset.present and len(grounds.dataset.names) > 1:
            message = f"{AUTO} needs the labels of the dataset, which are not here yet"
            fetch = f"`raytrainer check yolo.yaml --data {space.data}`"
            yield space.problem(("space", name), f"{message}; {fetch} downloads them")
        elif name in ("warmup_epochs", "close_mosaic") and grounds.epochs < 2:
            yield space.problem(("space", name), "has no effect in a training of one epoch")


def _read(name: str, raw: Range) -> Parameter:
    schema = schema_of(name)
    assert schema is not None
    found, findings = parse_parameter(dict(raw), schema)
    assert found is not None, findings
    return found


def _class_weights(space: Space, grounds: Grounds) -> dict[str, Parameter]:
    """What is searched of them, but for what the space searches, fixes or takes out of the search itself."""
    offsets = space.trainer.get(CLASS_OFFSETS) or {}
    given = {*space.space, *space.trainer, *(f"{CLASS_OFFSETS}.{label}" for label in offsets), *space.taken_out}
    return {name: _read(name, raw) for name, raw in class_weights(grounds.dataset) if name not in given}


def _fixed(space: Space, filled: Mapping[str, Parameter]) -> dict[str, Any]:
    """The settings that the searched class weights go with; none if nothing weighs the classes."""
    weighs = any(name == CLASS_POWER or name.startswith(CLASS_OFFSETS) for name in (*filled, *space.trainer))
    if CLASS_WEIGHTS not in space.automatic or not weighs:
        return {}
    power = {} if CLASS_POWER in {*filled, *space.trainer} else {CLASS_POWER: EQUAL}
    return {CLASS_WEIGHTS: "inverse_frequency", **power}

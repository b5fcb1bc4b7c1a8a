"""Puts ranges and defaults where a space says `auto`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from raytrainer.config import automatic, ultralytics_arguments
from raytrainer.config.automatic import AUTO, Grounds
from raytrainer.config.check import dataset_of
from raytrainer.config.document import CLASS_WEIGHTS
from raytrainer.config.form import schema_of
from raytrainer.config.model_file import model_facts
from raytrainer.config.parameter_form import parse_parameter
from raytrainer.config.parameters import Parameter
from raytrainer.config.problems import Problem, UserError
from raytrainer.config.search_size import row
from raytrainer.config.space import Space


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
        for parameter, found in _parameters(space, name, grounds):
            filled.setdefault(parameter, found)
            shown = row(parameter, found)
            announce(f"{name}: {AUTO} searches {shown.name}, {shown.kind}, {shown.range}; default {shown.default}")
    weights = {CLASS_WEIGHTS: "inverse_frequency"} if CLASS_WEIGHTS in space.automatic else {}
    return space.filled(filled, {**space.trainer, **weights})


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
    return Grounds(facts.family, ultralytics_arguments.defaults() | space.train, dataset)


def _impossible(space: Space, grounds: Grounds) -> Iterator[Problem]:
    for name in space.automatic:
        if name == CLASS_WEIGHTS and not grounds.dataset.present:
            yield space.problem(("space", name), f"{AUTO} needs the labels of the dataset, which are not here yet")
        elif name == CLASS_WEIGHTS and len(grounds.dataset.names) < 2:
            yield space.problem(("space", name), "has no effect: there is only one class")
        elif name in ("warmup_epochs", "close_mosaic") and grounds.epochs < 2:
            yield space.problem(("space", name), "has no effect in a training of one epoch")


def _parameters(space: Space, name: str, grounds: Grounds) -> Iterator[tuple[str, Parameter]]:
    """What is searched in its place; of the class weights, what is not fixed."""
    one = [(name, automatic.chosen(name, grounds))] if name != CLASS_WEIGHTS else []
    for parameter, raw in one or automatic.class_weights(grounds.dataset):
        schema = schema_of(parameter)
        assert schema is not None
        found, findings = parse_parameter(dict(raw), schema)
        assert found is not None, findings
        if parameter not in space.trainer:
            yield parameter, found

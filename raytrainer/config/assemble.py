"""One trial's configuration: what is fixed, and the values that were suggested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from raytrainer.config import ultralytics_arguments
from raytrainer.config.conditions import in_order, is_active
from raytrainer.config.document import by_class
from raytrainer.config.parameters import Scalar
from raytrainer.config.remote_data import local
from raytrainer.config.settings import Settings, idle
from raytrainer.config.space import Space


@dataclass(frozen=True)
class TrialConfig:
    """All that a training needs to be run, or run again."""

    model: str
    train: dict[str, Any]
    """Ultralytics' training arguments, with `data`, `epochs` and `seed` always among them."""
    settings: Settings
    params: dict[str, Scalar]
    """The searched values alone."""
    later: tuple[tuple[int, TrialConfig], ...] = ()
    """What the training goes on with after so many epochs, by their order; it differs in what is mutable alone."""


Values = Mapping[str, Scalar]


def assemble(
    space: Space,
    params: Values,
    amended: Mapping[str, Any] = MappingProxyType({}),
    later: Sequence[tuple[int, Values]] = (),
) -> TrialConfig:
    """The configuration of the trial with these values.

    A trial fails on a loss that is not finite unless `trainer.on_nan` says otherwise: to recover from it is worth
    something in the one training that there is, but says nothing good about one configuration among many.

    `amended` holds training arguments that this one trial has of its own, over everything else, such as a batch that
    fits into memory. `later` is what changes while it trains: after so many epochs, these values, beside those before.

    Raises:
        ValueError: on a parameter that the space does not have, or values that do not go together.
    """
    if unknown := params.keys() - space.space.keys():
        raise ValueError(f"not in the space: {', '.join(sorted(unknown))}")
    stages, values = [], dict(params)
    for epoch, changed in later:
        values = {**values, **changed}
        stages.append((epoch, _stage(space, values, amended)))
    return replace(_stage(space, params, amended), later=tuple(stages))


def _stage(space: Space, params: Values, amended: Mapping[str, Any]) -> TrialConfig:
    train: dict[str, Any] = {
        "epochs": ultralytics_arguments.defaults()["epochs"],
        "seed": space.search.seed,
        **space.train,
        "data": local(space.data),
    }
    goal = {"fitness": space.fitness, "subject_to": space.subject_to}
    fields: dict[str, Any] = {"on_nan": "fail", **space.trainer, **goal}
    for name, value in params.items():
        if split := by_class(name):
            setting, label = split
            fields[setting] = {**(fields.get(setting) or {}), label: value}
        elif name in Settings.model_fields:
            fields[name] = value
        else:
            train[name] = value
    settings = Settings(**_effective(fields, train.get("freeze")))
    return TrialConfig(space.model, {**train, **amended}, settings, dict(params))


def _effective(fields: Mapping[str, Any], freeze: Any) -> dict[str, Any]:
    """Without the fixed settings that do nothing beside this trial's values, such as a power beside no weights."""
    without = set(idle(fields))
    if not fields.get("freeze") and not freeze:
        without |= {"unfreeze_epoch", "unfreeze_every"}
    return {name: value for name, value in fields.items() if name not in without}


def defaults(space: Space) -> dict[str, Scalar]:
    """The defaults of all parameters that are active beside them, in the order of the file; trial 0."""
    values: dict[str, Scalar] = {}
    for name in in_order(space.space):
        if is_active(space.space[name], values):
            values[name] = space.space[name].default
    return {name: values[name] for name in space.space if name in values}

"""What tells little at the start of a training: its warm-up, and the epochs in which layers are still frozen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from raytrainer.config.model_file import model_facts
from raytrainer.config.parameters import Categorical
from raytrainer.config.space import Space
from raytrainer.config.ultralytics_arguments import defaults


def warm_up(space: Space) -> int:
    """Epochs of warm-up, begun ones counted; the most there can be, if they are searched."""
    return math.ceil(highest(space, "warmup_epochs"))


def unfrozen(space: Space) -> int:
    """Epochs by which every layer that is frozen at first trains again, or will in no trial; the most there can be.

    With `unfreeze_every` they train one by one (see `trainer.freeze`). Layers without parameters count here, as the
    model's file does not tell them apart; of a model whose file is not at hand the first layer alone counts.
    """
    first, every = int(highest(space, "unfreeze_epoch")), int(highest(space, "unfreeze_every"))
    layers = max((len(_layers(freeze, space)) for freeze in _values(space, "freeze")), default=0) if every else 0
    return first + every * max(0, layers - 1)


def highest(space: Space, name: str) -> float:
    """The highest number that a training argument or a setting has in any trial; 0 if it has none."""
    return max(_number(value) for value in _values(space, name))


def _values(space: Space, name: str) -> Iterator[Any]:
    """What it is, or may be: of a range the highest."""
    parameter = space.space.get(name)
    if parameter is None:
        given = [space.train.get(name), space.trainer.get(name), defaults().get(name)]
        yield next((value for value in given if value is not None), None)
    elif isinstance(parameter, Categorical):
        yield from parameter.choices
    else:
        yield parameter.high


def _layers(freeze: Any, space: Space) -> set[int]:
    """Indices of the layers that a `freeze` freezes, wholly or in part."""
    if isinstance(freeze, int):
        return set(range(freeze))
    found: set[int] = set()
    for entry in [freeze] if isinstance(freeze, str) else freeze or []:
        layer = str(entry).removeprefix("model.").partition(".")[0]
        if layer.isdecimal():
            found.add(int(layer))
        elif entry == "backbone":
            found |= set(range(model_facts(space.model).backbone or 0))
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0

"""The settings of the composed trainer: frozen, validated data that prints as YAML.

Every default is "off": a trainer composed with `Settings()` equals the stock Ultralytics trainer bit for bit.
The trainer room gives each field its meaning (one customisation, one file); this room only says what may be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from raytrainer.config.objectives import Goal

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
NO_MATTER = frozenset({"checkpoint_every"})
"""Fields that no result depends on, so that they may change on a resume."""


def idle(fields: Mapping[str, Any]) -> dict[str, str]:
    """Fields that would do nothing beside the others, each with the reason; those that are absent are at their default.

    Not `unfreeze_epoch` without `freeze`: what it unfreezes may be frozen by Ultralytics' argument of that name.
    """
    weights = fields.get("class_weights")
    found = {}
    if weights != "inverse_frequency" and any((fields.get("class_weight_offsets") or {}).values()):
        found["class_weight_offsets"] = "class_weight_offsets needs class_weights: inverse_frequency, which it corrects"
    if fields.get("unfreeze_every") is not None and fields.get("unfreeze_epoch") is None:
        found["unfreeze_every"] = "unfreeze_every needs unfreeze_epoch, the epoch at which the first layer is unfrozen"
    if weights != "inverse_frequency" and fields.get("class_weights_power", 1) != 1:
        found["class_weights_power"] = "class_weights_power needs class_weights: inverse_frequency, whose power it is"
    for name, default in (("normalize_class_weights", True), ("positives_only", False)):
        if not weights and fields.get(name, default) is not default:
            found[name] = f"{name} needs class_weights"
    return found


class Settings(BaseModel):
    """What a composed trainer does differently from the stock one.

    Raises:
        pydantic.ValidationError: on an unknown field, a wrong type, a value outside its range, or one that would do
            nothing beside the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, use_attribute_docstrings=True)

    backbone_lr_ratio: Positive = 1.0
    """Learning rate of the backbone as a share of the head's; 1 leaves the stock groups' rates alone."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of each layer below the head, neck and backbone, as a share of the layer above's; 1 is off."""
    clip_grad_norm: NonNegative | None = None
    """Largest global gradient norm; 0 is off, None keeps what Ultralytics fixes (10.0)."""
    clip_grad_value: NonNegative = 0.0
    """Largest absolute value of a gradient element; 0 is off."""
    freeze: Annotated[int, Field(ge=0)] | list[int | str] | Literal["backbone"] | None = None
    """As Ultralytics' `freeze` (first n layers, or layer indices and module names), or the whole backbone."""
    unfreeze_epoch: Annotated[int, Field(ge=0)] | None = None
    """Epoch, counted from 0, from whose start the frozen layers train again; None keeps them frozen for good."""
    unfreeze_every: Annotated[int, Field(ge=1)] | None = None
    """Unfreeze one layer every so many epochs, from the top down, beginning at `unfreeze_epoch`."""
    class_weights: Literal["inverse_frequency"] | list[Positive] | dict[str, Positive] | None = None
    """Weights of the classification loss: by class name (absent ones are 1), one per class, or computed."""
    class_weights_power: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Power of the inverse class frequency; 0 gives equal weights."""
    class_weight_offsets: dict[str, Annotated[float, Field(ge=-5, le=5)]] = {}
    """By class name, what is added to the natural logarithm of its computed weight; 0.69 doubles it."""
    normalize_class_weights: bool = True
    """Scale the weights so that their mean over the training instances is 1, which keeps the loss scale."""
    positives_only: bool = False
    """Weight the positive term only (`pos_weight`), not the whole column of a class."""
    sync_bn: bool | Literal["auto"] = False
    """Synchronise BatchNorm over ranks; `auto` does so under 32 images a rank. Needs more than one CUDA rank."""
    fitness: Goal | None = None
    """Expression that decides best.pt and early stopping; None is the stock fitness. Of several the first decides, and
    the others are recorded beside it."""
    subject_to: list[str] = []
    """Constraints, such as `AP[Platelets] > 0.4` or `latency_ms < 8`; an epoch that keeps them goes before others."""
    on_nan: Literal["recover", "fail"] = "recover"
    """A loss that is not finite: `recover` from last.pt as Ultralytics does, or `fail` at once, the default of trials.
    A fitness that is not finite fails a trial either way; in a training by itself, `recover` keeps its epoch, which is
    never the best."""

    checkpoint_every: Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[1-9]\d*min$")] = 1
    """Epochs, or minutes such as `10min`, from one checkpoint to the next; the first and last epoch always have one."""

    @model_validator(mode="after")
    def _nothing_idle(self) -> Settings:
        if reasons := idle(self.model_dump()).values():
            raise ValueError("; ".join(reasons))
        return self

    def to_yaml(self) -> str:
        """Every field, as YAML that `from_yaml` reads back to an equal object."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str) -> Settings:
        """The settings that `to_yaml` printed.

        Raises:
            pydantic.ValidationError: if the text holds an unknown field or a bad value.
        """
        return cls.model_validate(yaml.safe_load(text) or {})

    def difference(self, other: Settings) -> dict[str, tuple[Any, Any]]:
        """Fields that a result depends on and whose values differ, each with this object's value and the other's."""
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return {key: (mine[key], theirs[key]) for key in mine if mine[key] != theirs[key] and key not in NO_MATTER}

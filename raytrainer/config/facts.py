"""What is certain about a trial before it runs: the values that no trial changes, the model, the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from raytrainer.config.conditions import requirements
from raytrainer.config.dataset import Dataset
from raytrainer.config.document import by_class
from raytrainer.config.model_file import ModelFacts
from raytrainer.config.parameters import same
from raytrainer.config.settings import Settings
from raytrainer.config.space import Space
from raytrainer.config.trained_classes import alike
from raytrainer.config.ultralytics_arguments import defaults

OFF: tuple[Any, ...] = (None, False, 0, [], {})


@dataclass(frozen=True)
class Facts:
    """Values by name, of training arguments and settings; one that is searched has none.

    Every question is answered yes only if it is certain: what is not known is neither equal nor unequal to anything.
    """

    values: Mapping[str, Any]
    model: ModelFacts
    dataset: Dataset | None
    """As the training sees it."""
    ranks: int

    def is_(self, name: str, *allowed: Any) -> bool:
        """Whether the value is known and is one of these."""
        return name in self.values and any(same(self.values[name], value) for value in allowed)

    def off(self, *names: str) -> bool:
        """Whether all of them are known to be off: zero, false, null or empty."""
        return all(self.is_(name, *OFF) for name in names)

    def on(self, name: str) -> bool:
        """Whether the value is known and not off."""
        return name in self.values and not self.is_(name, *OFF)

    def at_least(self, name: str, other: str) -> bool:
        """Whether both are known numbers, the first not below the second."""
        first, second = self.values.get(name), self.values.get(other)
        return isinstance(first, int | float) and isinstance(second, int | float) and first >= second

    def task(self, *tasks: str) -> bool:
        """Whether the model's task is known and is one of these."""
        return self.model.task in tasks

    def option(self, name: str, default: Any) -> Any:
        """A key of the data.yaml; None if the dataset is not known."""
        return self.dataset.options.get(name, default) if self.dataset else None

    @property
    def backbone_frozen(self) -> bool:
        """Whether the whole backbone is frozen from the first epoch to the last."""
        for_good = self.is_("unfreeze_epoch", None) or self.at_least("unfreeze_epoch", "epochs")
        return for_good and freezes_backbone(self.values.get("freeze"), self.model.backbone)

    @property
    def one_class(self) -> bool:
        """Whether there is a single class."""
        return self.is_("single_cls", True) or (self.dataset is not None and len(self.dataset.names) == 1)

    @property
    def classes_alike(self) -> bool:
        """Whether every class that occurs in the training does so equally often."""
        return self.dataset is not None and self.is_("fraction", 1) and alike(self.dataset) is not None

    def given(self, name: str, value: Any) -> Facts:
        """The same, with one more value known."""
        return replace(self, values={**self.values, name: value})


def freezes_backbone(freeze: Any, layers: int | None) -> bool:
    """Whether a `freeze` covers a backbone of so many layers; None is not known."""
    if freeze == "backbone" or (isinstance(freeze, list) and "backbone" in freeze):
        return True
    if not layers:
        return False
    if isinstance(freeze, list):
        return set(range(layers)) <= {int(entry) for entry in freeze if str(entry).isdecimal()}
    return isinstance(freeze, int) and freeze >= layers


def known_values(space: Space) -> dict[str, Any]:
    """Every training argument and setting that is the same in all trials."""
    settings = Settings().model_dump()
    values = {**defaults(), "seed": space.search.seed, **settings, "freeze": None, **space.train, **space.trainer}
    for setting in {split[0] for name in space.space if (split := by_class(name))}:
        values[setting] = {**(values[setting] or {}), "searched": True}
    return {name: value for name, value in values.items() if name not in space.space}


def where_active(space: Space, facts: Facts, name: str) -> Facts:
    """What is certain in the trials in which a parameter is active: its conditions, where they leave one value."""
    for other, allowed in requirements(space.space, name).items():
        if len(allowed) == 1:
            facts = facts.given(other, allowed[0])
    return facts

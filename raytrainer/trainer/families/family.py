"""What the package must know of a model family, and the answers that hold for a model built from a YAML of layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from ultralytics.engine.trainer import BaseTrainer


class Family(ABC):
    """A kind of model: what its backbone is, who trains it, and how its classification loss is weighted.

    A model is an Ultralytics model whose `model` is a sequence of layers and whose `yaml` says how they were built.
    """

    heads: tuple[str, ...] = ()
    """Names of the classes of the last layer by which the family is known; a family without any is the default."""

    def backbone(self, model: nn.Module) -> Sequence[nn.Module]:
        """The layers of the backbone, the first one first: as many as the model's YAML lists under `backbone`.

        Returns:
            An empty sequence for a model that was not built from a YAML with a backbone.
        """
        listed = (getattr(model, "yaml", None) or {}).get("backbone", ())
        return list(model.get_submodule("model").children())[: len(listed)]

    @abstractmethod
    def trainers(self) -> Mapping[str, type[BaseTrainer]]:
        """The Ultralytics trainer of every task that the family has."""

    @abstractmethod
    def weigh_classes(self, model: nn.Module, weights: torch.Tensor, positives_only: bool) -> None:
        """Multiply the classification loss of each class by its weight; box terms stay as they are.

        May be called again on the same model, and then replaces the weights. It leaves nothing on the model that a
        checkpoint would need this package for, once Ultralytics has stripped the criterion.

        Args:
            model: unwrapped model, the student of a distilled one.
            weights: shape (classes,), on the model's device.
            positives_only: weight the term of the objects of a class only, not that of everything that is none.
        """

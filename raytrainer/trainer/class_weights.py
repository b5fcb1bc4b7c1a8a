"""Weights of the classes in the classification loss: as given, or computed from how often each class occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOGGER

from raytrainer.config.problems import suggest
from raytrainer.config.settings import Settings
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.families import core_of, family_of
from raytrainer.trainer.user_error import user_error

Counts = NDArray[np.floating]
WEIGHTED_TASKS = ("detect", "segment", "pose", "obb")


def class_weights(settings: Settings, names: Mapping[int, str], counts: Counts) -> Counts:
    """The weight of each class.

    Args:
        settings: whose `class_weights` is not None.
        names: class index to name, from 0 without gaps.
        counts: training instances of each class, shape (classes,).

    Returns:
        Shape (classes,), positive. If they are to be normalised, their mean over the training instances is 1.

    Raises:
        UserError: on a name that the data do not have, or a list that has another length.
    """
    asked = settings.class_weights
    if asked == "inverse_frequency":
        offsets = _by_name(settings.class_weight_offsets, names, "class_weight_offsets", absent=0.0)
        weights = inverse_frequency(counts, settings.class_weights_power) * np.exp(offsets)
    elif isinstance(asked, Mapping):
        weights = _by_name(asked, names, "class_weights", absent=1.0)
    else:
        weights = _by_index(asked or [], names)
    if settings.normalize_class_weights and counts.sum() > 0:
        weights = weights * (counts.sum() / (counts * weights).sum())
    return weights


def inverse_frequency(counts: Counts, power: float) -> Counts:
    """1 / counts ** power; a class without training instances gets the mean of the others, as stock `cls_pw` has it."""
    present = counts > 0
    if not present.any():
        return np.ones_like(counts)
    weights: Counts = (1.0 / np.where(present, counts, 1.0)) ** power
    return np.where(present, weights, weights[present].mean())


def _by_name(asked: Mapping[str, float], names: Mapping[int, str], setting: str, absent: float) -> Counts:
    for name in asked:
        if name not in names.values():
            raise user_error(setting, f"the data have no class '{name}'{suggest(name, names.values())}")
    return np.array([asked.get(names[i], absent) for i in range(len(names))], dtype=np.float64)


def _by_index(asked: Sequence[float], names: Mapping[int, str]) -> Counts:
    if len(asked) != len(names):
        listed = ", ".join(names[i] for i in range(len(names)))
        raise user_error("class_weights", f"{len(asked)} weights for the {len(names)} classes of the data: {listed}")
    return np.array(asked, dtype=np.float64)


class ClassWeights(Customisation):
    """Sets the weights where the model's family wants them.

    Stock training calls this before it copies the model for the EMA. It makes a new criterion for some models when it
    resumes; whoever overrides `resume_training` calls this once more after it.
    """

    def set_class_weights(self) -> None:
        """Weigh the classes, or do what stock training does if no weights are asked for.

        Raises:
            UserError: as `class_weights` does, if `cls_pw` asks for weights too, or the task has no class weights.
        """
        if self.settings.class_weights is None:
            super().set_class_weights()
            return
        stock = getattr(super().set_class_weights, "__func__", None)
        if self.args.task not in WEIGHTED_TASKS or stock is BaseTrainer.set_class_weights:
            known = ", ".join(WEIGHTED_TASKS)
            raise user_error("class_weights", f"{type(self).__name__} has no class weights; they are for {known}")
        if self.args.cls_pw:
            raise user_error("class_weights", f"cls_pw={self.args.cls_pw} sets class weights too; give one of the two")
        names = {int(index): str(name) for index, name in self.data["names"].items()}
        weights = class_weights(self.settings, names, self.get_class_counts().astype(np.float64))
        LOGGER.info(f"Class weights: {', '.join(f'{names[i]} {weight:.3g}' for i, weight in enumerate(weights))}")
        core = core_of(self.model)
        tensor = torch.as_tensor(weights, dtype=torch.float32, device=self.device)
        family_of(core).weigh_classes(core, tensor, self.settings.positives_only)

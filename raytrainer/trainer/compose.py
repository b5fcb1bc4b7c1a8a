"""Puts the customisations in front of an Ultralytics trainer: one class for `model.train(trainer=…)`."""

from __future__ import annotations

from typing import Any

from ultralytics.engine.trainer import BaseTrainer
from ultralytics.models.yolo.detect import DetectionTrainer

from raytrainer.config.settings import Settings
from raytrainer.trainer.accumulation import StepRhythm
from raytrainer.trainer.checkpoint import Checkpoints
from raytrainer.trainer.class_weights import ClassWeights
from raytrainer.trainer.clip import ClipGradients
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.fitness import OwnFitness
from raytrainer.trainer.freeze import FreezeLayers
from raytrainer.trainer.image_cache import SharedImageCache
from raytrainer.trainer.ownership import Ownership
from raytrainer.trainer.param_groups import ParameterGroups
from raytrainer.trainer.replicas import Replicas
from raytrainer.trainer.reporting import Reporting
from raytrainer.trainer.resume import ExactResume
from raytrainer.trainer.sync_bn import SyncBatchNorm
from raytrainer.trainer.value_schedule import ValueSchedule

CUSTOMISATIONS: tuple[type[Customisation], ...] = (
    ParameterGroups,
    ClipGradients,
    FreezeLayers,
    ClassWeights,
    SyncBatchNorm,
    Replicas,
    OwnFitness,
    Reporting,
    ValueSchedule,
    Checkpoints,
    ExactResume,
    StepRhythm,
    SharedImageCache,
    Ownership,
)
"""Each overrides its own Ultralytics methods, so their order does not matter. A new one is added here."""


def compose(
    base_trainer: type[BaseTrainer] | None = None, settings: Settings | None = None, **fields: Any
) -> type[BaseTrainer]:
    """A trainer class that trains as `base_trainer` does, with the customisations that the settings ask for.

    With the default settings it equals `base_trainer` bit for bit.

    Args:
        base_trainer: any Ultralytics trainer; None is the one of detection.
        settings: what to customise, by default what `base_trainer` does already; `fields` are fields of it, and go
            before it.

    Returns:
        A class to give to `model.train(trainer=…)` or to call with `overrides=…`.

    Raises:
        pydantic.ValidationError: if a field is unknown or its value is outside its range.
    """
    base = base_trainer or DetectionTrainer
    given: Settings = settings or getattr(base, "settings", None) or Settings()
    chosen = Settings.model_validate({**given.model_dump(exclude_unset=True), **fields})
    mixins = tuple(mixin for mixin in CUSTOMISATIONS if not issubclass(base, mixin))
    # `Trainer` in the name is what makes Ultralytics attach Weights & Biases and its other integrations.
    return type(f"Composed{base.__name__}", (*mixins, base), {"settings": chosen, "__module__": __name__})

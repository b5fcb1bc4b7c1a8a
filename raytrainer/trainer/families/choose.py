"""Which family a model is of, and which Ultralytics trainer trains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.tasks import guess_model_task, load_checkpoint, yaml_model_load
from ultralytics.utils.checks import check_model_file_from_stem
from ultralytics.utils.torch_utils import unwrap_model

from raytrainer.config.problems import suggest
from raytrainer.trainer.families.family import Family
from raytrainer.trainer.families.rtdetr import RTDETR
from raytrainer.trainer.families.yolo import YOLO
from raytrainer.trainer.user_error import user_error

FAMILIES: tuple[Family, ...] = (RTDETR(), YOLO())
"""The first that knows the head; YOLO knows every one."""
PROMPTED = ("WorldDetect", "YOLOE")
"""How the heads of open-vocabulary models begin: their class channels are prompts, not the classes of the data."""


def _family_of_head(head: str) -> Family:
    return next(family for family in FAMILIES if not family.heads or head in family.heads)


def core_of(model: nn.Module) -> nn.Module:
    """The model of layers inside its wrappers: DDP, `torch.compile`, and the student of a distilled one."""
    bare = unwrap_model(model)
    student = getattr(bare, "student_model", bare)
    return unwrap_model(student)  # type: ignore[no-any-return]


def family_of(model: nn.Module) -> Family:
    """The family of an Ultralytics model, wrapped or not, by the class of its last layer."""
    layers = core_of(model).get_submodule("model")
    return _family_of_head(type(list(layers.children())[-1]).__name__)


def trainer_of(model: str | Path, task: str | None = None) -> type[BaseTrainer]:
    """The Ultralytics trainer of a checkpoint or a model YAML, as `YOLO(model)` or `RTDETR(model)` would choose it.

    Args:
        model: path or Ultralytics name of a checkpoint (.pt) or model YAML.
        task: the task if it is known; None finds it in the model.

    Raises:
        UserError: if its family has no such task, or it is an open-vocabulary model, which needs a trainer of its own.
        FileNotFoundError: if there is no such model.
    """
    file = str(check_model_file_from_stem(model))
    source: Any = load_checkpoint(file)[0] if file.endswith(".pt") else yaml_model_load(file)
    head = source["head"][-1][-2] if isinstance(source, dict) else type(source.model[-1]).__name__
    if head.startswith(PROMPTED):
        raise user_error("model", f"{model} is an open-vocabulary model (its head is {head}), which is not served")
    trainers = _family_of_head(head).trainers()
    wanted = task or (next(iter(trainers)) if len(trainers) == 1 else guess_model_task(source))
    if wanted not in trainers:
        raise user_error("task", f"{model} cannot be trained for the task {wanted}{suggest(wanted, trainers)}")
    return trainers[wanted]


def check_trainer(trainer: BaseTrainer, model: nn.Module) -> None:
    """A trainer of one family cannot train a model of another: its loss or its images would not fit.

    Raises:
        UserError: naming the trainers that can.
    """
    family = family_of(model)
    special = next((f for f in FAMILIES if f.heads and isinstance(trainer, tuple(f.trainers().values()))), None)
    if special is not (family if family.heads else None):
        fitting = ", ".join(kind.__name__ for kind in family.trainers().values())
        message = f"{type(trainer).__name__} cannot train this model; compose one that can: {fitting}"
        raise user_error("trainer", message)

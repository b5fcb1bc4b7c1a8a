"""What the package knows of a model: its trainer, and which of its layers are the backbone, in every size."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import parse_model, yaml_model_load

from raytrainer.config.problems import UserError
from raytrainer.trainer.families import core_of, family_of, trainer_of


@pytest.mark.parametrize(
    ("model", "trainer"),
    [
        ("yolov8n.yaml", "DetectionTrainer"),
        ("yolo26n-seg.yaml", "SegmentationTrainer"),
        ("yolo11n-pose.yaml", "PoseTrainer"),
        ("yolo26n-obb.yaml", "OBBTrainer"),
        ("yolo11n-cls.yaml", "ClassificationTrainer"),
        ("rtdetr-l.yaml", "RTDETRTrainer"),
        ("yolov8-rtdetr.yaml", "RTDETRTrainer"),
    ],
)
def test_a_model_finds_its_trainer(model: str, trainer: str) -> None:
    assert trainer_of(model).__name__ == trainer


def test_a_checkpoint_finds_its_trainer(pretrained: Path) -> None:
    assert trainer_of(pretrained) is DetectionTrainer


@pytest.mark.parametrize(
    ("model", "task", "message"),
    [
        ("yolov8s-world.yaml", None, "open-vocabulary"),
        ("rtdetr-l.yaml", "segment", "cannot be trained for the task segment"),
        ("yolo26n-sem.yaml", None, "cannot be trained for the task semantic"),
    ],
)
def test_a_model_without_a_trainer_is_refused(model: str, task: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        trainer_of(model, task)


@pytest.mark.parametrize(
    ("models", "layers", "last"),
    [
        (["yolov5n.yaml"], 10, "SPPF"),
        ([f"yolov8{size}.yaml" for size in "nsmlx"], 10, "SPPF"),
        (["yolov8n-p6.yaml"], 12, "SPPF"),
        (["yolov9t.yaml"], 10, "SPPELAN"),
        (["yolov10n.yaml"], 11, "PSA"),
        ([f"yolo11{size}.yaml" for size in "nsmlx"], 11, "C2PSA"),
        (["yolo12n.yaml"], 9, "A2C2f"),
        ([f"yolo26{size}.yaml" for size in "nsmlx"], 11, "C2PSA"),
        (["yolo26n-seg.yaml", "yolo26n-pose.yaml", "yolo26n-obb.yaml"], 11, "C2PSA"),
        (["yolo11n-cls.yaml"], 10, "C2PSA"),
        (["rtdetr-l.yaml"], 10, "HGBlock"),
        (["rtdetr-x.yaml"], 14, "HGBlock"),
        (["rtdetr-resnet50.yaml", "rtdetr-resnet101.yaml"], 5, "ResNetLayer"),
    ],
    ids=lambda value: value[0].removesuffix(".yaml") if isinstance(value, list) else None,
)
def test_the_backbone_is_what_the_yaml_of_the_model_says(models: list[str], layers: int, last: str) -> None:
    """HGNetV2, ResNet and YOLO's own; a size has other depths and widths, but the same layers."""
    for model in models:
        network = nn.Module()
        network.yaml = yaml_model_load(model)
        with torch.device("meta"):  # the layers without their weights
            network.model, _ = parse_model(deepcopy(network.yaml), ch=3, verbose=False)
        backbone = family_of(network).backbone(network)
        assert (len(backbone), type(backbone[-1]).__name__) == (layers, last), model
        assert not any(type(layer).__name__ == last for layer in network.model[layers : layers + 1])


def test_a_distilled_model_is_its_student() -> None:
    wrapper = nn.Module()
    wrapper.student_model = student = nn.Module()
    assert core_of(wrapper) is student

"""YOLO of every version and task, with one head or with a one-to-many and a one-to-one head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.models import yolo

from raytrainer.trainer.families.family import Family


class YOLO(Family):
    """Class weights go where stock training puts those of `cls_pw`; positive ones into the criterion."""

    def trainers(self) -> Mapping[str, type[BaseTrainer]]:
        return {
            "detect": yolo.detect.DetectionTrainer,
            "segment": yolo.segment.SegmentationTrainer,
            "pose": yolo.pose.PoseTrainer,
            "obb": yolo.obb.OBBTrainer,
            "classify": yolo.classify.ClassificationTrainer,
        }

    def weigh_classes(self, model: nn.Module, weights: torch.Tensor, positives_only: bool) -> None:
        """Whole columns through `model.class_weights`, which the criterion reads when it is made; it is made here only
        for positive weights, since it would otherwise be made at the first batch.
        """
        subject: Any = model
        if positives_only:
            subject.criterion = getattr(subject, "criterion", None) or subject.init_criterion()
        else:
            subject.class_weights = weights
        for loss in _detection_losses(getattr(subject, "criterion", None)):
            if positives_only:
                loss.bce = nn.BCEWithLogitsLoss(reduction="none", pos_weight=weights)
            else:
                loss.class_weights = weights.view(1, 1, -1)


def _detection_losses(criterion: Any) -> Iterator[Any]:
    """The losses of the heads inside a criterion, which has one or, if end to end, two."""
    heads = [getattr(criterion, name) for name in ("one2many", "one2one") if hasattr(criterion, name)]
    yield from heads or ([criterion] if criterion is not None else [])

"""RT-DETR: a detection transformer trained with varifocal and focal classification losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.utils.loss import FocalLoss, VarifocalLoss
from ultralytics.utils.torch_utils import autocast

from raytrainer.trainer.families.family import Family


class RTDETR(Family):
    """Class weights go into the criterion's losses, and so reach main, auxiliary and denoising terms alike."""

    heads = ("RTDETRDecoder",)

    def trainers(self) -> Mapping[str, type[BaseTrainer]]:
        return {"detect": RTDETRTrainer}

    def weigh_classes(self, model: nn.Module, weights: torch.Tensor, positives_only: bool) -> None:
        """Gives the model a criterion of its own, which Ultralytics strips from every checkpoint that it writes."""
        subject: Any = model
        criterion = getattr(subject, "criterion", None) or subject.init_criterion()
        criterion.vfl = WeightedVarifocalLoss(criterion.vfl, weights, positives_only)
        criterion.fl = WeightedFocalLoss(criterion.fl, weights, positives_only)
        subject.criterion = criterion


def _factor(weights: torch.Tensor, label: torch.Tensor, positives_only: bool) -> torch.Tensor:
    """What to multiply the loss of each element by. Exactly 1 where the weight is 1.

    Args:
        weights: shape (C,).
        label: shape (B, N, C), 1 where the query is matched with an object of the class.
    """
    columns = weights.view(1, 1, -1)
    return 1 + (columns - 1) * label if positives_only else columns


class WeightedVarifocalLoss(VarifocalLoss):  # type: ignore[misc]
    """Varifocal loss (https://arxiv.org/abs/2008.13367) whose element (b, n, c) is multiplied by the weight of c.

    The weights are a plain attribute: a buffer would be missing from the checkpoint of an unweighted run.
    """

    def __init__(self, stock: VarifocalLoss, weights: torch.Tensor, positives_only: bool) -> None:
        super().__init__(stock.gamma, stock.alpha)
        self.weights, self.positives_only = weights, positives_only

    def forward(self, pred_score: torch.Tensor, gt_score: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Sum over images and classes of the mean over queries; every argument has the shape (B, N, C)."""
        focus = self.alpha * pred_score.sigmoid().pow(self.gamma) * (1 - label) + gt_score * label
        with autocast(enabled=False, device=pred_score.device.type):
            entropy = binary_cross_entropy_with_logits(pred_score.float(), gt_score.float(), reduction="none")
            loss: torch.Tensor = entropy * focus * _factor(self.weights, label, self.positives_only)
        return loss.mean(1).sum()


class WeightedFocalLoss(FocalLoss):  # type: ignore[misc]
    """Focal loss (https://arxiv.org/abs/1708.02002), of batches without a box, weighted in the same way."""

    def __init__(self, stock: FocalLoss, weights: torch.Tensor, positives_only: bool) -> None:
        super().__init__(stock.gamma, float(stock.alpha))
        self.share = float(stock.alpha)  # a number, so that no step waits for the GPU to read the stock tensor
        self.weights, self.positives_only = weights, positives_only

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Sum over images and classes of the mean over queries; every argument has the shape (B, N, C)."""
        entropy = binary_cross_entropy_with_logits(pred, label, reduction="none")
        probability = pred.sigmoid()
        hit = label * probability + (1 - label) * (1 - probability)
        focal: torch.Tensor = entropy * (1.0 - hit) ** self.gamma
        if self.share > 0:
            focal = focal * (label * self.share + (1 - label) * (1 - self.share))
        return (focal * _factor(self.weights, label, self.positives_only)).mean(1).sum()

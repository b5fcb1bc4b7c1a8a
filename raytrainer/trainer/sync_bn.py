"""Batch normalisation over the images of all ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn
from ultralytics.utils import LOGGER

from raytrainer.trainer.contract import Customisation

ENOUGH_IMAGES = 32
"""Images a rank from which `auto` leaves batch normalisation alone (https://arxiv.org/abs/1803.08494, figure 1)."""


def wants_sync(setting: bool | Literal["auto"], world_size: int, batch: float) -> bool:
    """Whether batch statistics are to be shared.

    Args:
        setting: `Settings.sync_bn`.
        world_size: number of ranks; with one there is nothing to share.
        batch: images in the batch of all ranks together.
    """
    if setting == "auto":
        return world_size > 1 and batch / world_size < ENOUGH_IMAGES
    return setting and world_size > 1


def can_sync(device: torch.device) -> bool:
    """Whether torch's `SyncBatchNorm` runs there: on a CPU it raises."""
    return device.type not in {"cpu", "mps"}


class SyncBatchNorm(Customisation):
    """Converts the model after it was put on its device and before DDP wraps it."""

    def set_model_attributes(self) -> None:
        super().set_model_attributes()
        if not wants_sync(self.settings.sync_bn, self.world_size, self.batch_size):
            return
        if not can_sync(self.device):
            LOGGER.warning("sync_bn: torch shares batch statistics between GPUs only, so these ranks do not")
            return
        convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
        self.model = convert(self.model)
        converted = sum(isinstance(module, nn.SyncBatchNorm) for module in self.model.modules())
        LOGGER.info(f"sync_bn: {converted} layers share their statistics over {self.world_size} ranks")

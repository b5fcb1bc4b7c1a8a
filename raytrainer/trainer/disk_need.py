"""What a training will take of the disk, told from one that has taken its first step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from raytrainer.trainer.run_state import shared_state


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """Bytes of checkpoints; logs, records and plots come on top."""

    training: int
    """At most, while it trains: two states, last.pt and best.pt, and what is being written."""
    kept: int
    """Of the best.pt of one that has ended."""


def disk_need(trainer: Any) -> DiskNeed:
    """Of a trainer whose optimizer has its state already.

    A state has everything in full precision; in last.pt and best.pt, as Ultralytics writes them, the averaged weights
    and the optimizer are in half, and best.pt loses the optimizer at the end.
    """
    state = shared_state(trainer)
    full, weights, optimizer = (_bytes(part) for part in (state, state["ema"], state["optimizer"]))
    checkpoint = (weights + optimizer) // 2
    return DiskNeed(training=max(3 * full + 2 * checkpoint, 2 * full + 4 * checkpoint), kept=weights // 2)


def _bytes(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(_bytes(part) for part in value.values())
    return sum(_bytes(part) for part in value) if isinstance(value, list | tuple) else 0

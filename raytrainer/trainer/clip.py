"""Gradient clipping by norm and by value, and what it did in each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import nn

from raytrainer.trainer.contract import Customisation

STOCK_MAX_NORM = 10.0
"""What `BaseTrainer.optimizer_step` of ultralytics 8.4.190 clips to."""
ROUNDING = 1e-3
"""More than what rounding may take from the norm of a tensor."""
COLUMNS = ("gradient/norm", "gradient/norm_max", "gradient/clipped_share")
"""Columns of `results.csv` and keys of `trainer.metrics` for what `ClipStats.summary` gives."""


@dataclass
class ClipStats:
    """Gradient norms of the optimizer steps of one epoch, kept on the device: reading one would wait for the GPU."""

    norms: list[torch.Tensor] = field(default_factory=list)
    """Norm of each step before clipping; not finite where mixed precision overflowed and the step was skipped."""
    clipped: list[torch.Tensor] = field(default_factory=list)
    """Whether each step's gradient was changed."""

    def summary(self) -> tuple[float, float, float] | None:
        """Mean and largest norm, and share of clipped steps (0 to 1), of the steps that were taken; None without any.

        Waits for the GPU once.
        """
        if not self.norms:
            return None
        norms, clipped = torch.stack(self.norms).double().cpu(), torch.stack(self.clipped).double().cpu()
        taken = norms.isfinite()
        if not taken.any():
            return None
        return float(norms[taken].mean()), float(norms[taken].max()), float(clipped[taken].mean())

    def columns(self) -> dict[str, float]:
        """The summary by its columns; NaN if no step was taken."""
        return dict(zip(COLUMNS, self.summary() or [math.nan] * len(COLUMNS), strict=True))


def clip(parameters: Iterable[nn.Parameter], max_norm: float, max_value: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Clip gradients in place, first their global norm, then each element; afterwards both bounds hold.

    Args:
        parameters: those that train; one without a gradient is passed over.
        max_norm: largest global 2-norm; 0 is off (`torch.nn.utils.clip_grad_norm_` would zero the gradients).
        max_value: largest absolute value of an element; 0 is off.

    Returns:
        Norm before clipping and whether anything was clipped, two scalars on the gradients' device. Nothing waits for
        the GPU.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.tensor(0.0), torch.tensor(False)
    norms = torch.stack(list(torch._foreach_norm(gradients, 2.0)))
    norm: torch.Tensor = torch.linalg.vector_norm(norms)
    clipped = norm > max_norm if max_norm else torch.zeros_like(norm, dtype=torch.bool)
    if max_norm:
        shrink = torch.clamp(max_norm / (norm + 1e-6), max=1.0)  # to the bit what `clip_grad_norm_` does
        torch._foreach_mul_(gradients, shrink)
        norms = norms * shrink
    if max_value:
        clipped = clipped | _clip_values(gradients, norms, max_value)
    return norm, clipped


def _clip_values(gradients: list[torch.Tensor], norms: torch.Tensor, max_value: float) -> torch.Tensor:
    """Bound each element; whether that changed any.

    Args:
        norms: of each tensor, shape (tensors,). No element is larger than its tensor's.
    """
    if norms.device.type == "cpu":
        return torch.tensor(_clip_few_values(gradients, norms, max_value))
    largest = torch.stack(list(torch._foreach_max(torch._foreach_abs(gradients)))).max()
    torch._foreach_clamp_min_(gradients, -max_value)
    torch._foreach_clamp_max_(gradients, max_value)
    return largest > max_value


def _clip_few_values(gradients: list[torch.Tensor], norms: torch.Tensor, max_value: float) -> bool:
    """The same where asking costs nothing: most tensors need not be looked at, and few of the others be written to."""
    within = (norms <= max_value * (1 - ROUNDING)).tolist()
    large = [gradient for gradient, small in zip(gradients, within, strict=True) if not small]
    if not large:
        return False
    extremes = torch.stack([extreme for gradient in large for extreme in torch.aminmax(gradient)]).view(-1, 2)
    beyond = (~(extremes.abs() <= max_value).all(1)).tolist()  # NaN too
    for gradient, exceeds in zip(large, beyond, strict=True):
        if exceeds:
            gradient.clamp_(-max_value, max_value)
    return any(beyond)


class ClipGradients(Customisation):
    """Clips to `clip_grad_norm` (None is what stock training does, 0 is off) and `clip_grad_value`."""

    events: ClassVar[Mapping[str, str]] = {"on_train_epoch_start": "_forget_clipped"}

    @cached_property
    def clip_stats(self) -> ClipStats:
        """Of the epoch that runs or has just ended."""
        return ClipStats()

    def _forget_clipped(self) -> None:
        self.clip_stats = ClipStats()

    def optimizer_step(self) -> None:
        """The stock step with other bounds: unscale, clip, step, EMA."""
        max_norm = self.settings.clip_grad_norm
        self.scaler.unscale_(self.optimizer)
        norm, clipped = clip(
            (parameter for parameter in self.model.parameters() if parameter.requires_grad),
            STOCK_MAX_NORM if max_norm is None else max_norm,
            self.settings.clip_grad_value,
        )
        self.clip_stats.norms.append(norm)
        self.clip_stats.clipped.append(clipped)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.ema:
            self.ema.update(self.model)

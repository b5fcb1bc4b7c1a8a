"""Half the batch with twice the accumulation: the same optimizer steps in about half the memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytrainer.config import ultralytics_arguments


def halved(train: Mapping[str, Any], ranks: int = 1) -> dict[str, Any] | None:
    """Training arguments for half the batch, or None if there is no smaller one.

    Ultralytics accumulates `round(nbs / batch)` batches a step, so that a batch under `nbs` needs no more than to be
    halved. One above it is a step of its own: `nbs` becomes that batch, and the weight decay, which upstream scales by
    `batch * accumulate / nbs`, is set to what it came to. Source: `BaseTrainer._setup_train` of 8.4.190.

    Args:
        train: Ultralytics training arguments; those that are missing are upstream's defaults.
        ranks: processes that share the batch equally.
    """
    asked = {**ultralytics_arguments.defaults(), **train}
    batch, nominal = asked["batch"], asked["nbs"]
    if not isinstance(batch, int) or batch < 2 * ranks:  # one that Ultralytics chooses is chosen to fit
        return None
    smaller = {"batch": batch // 2 // ranks * ranks}
    if batch <= nominal:
        return smaller
    return {**smaller, "nbs": batch, "weight_decay": asked["weight_decay"] * batch / nominal}

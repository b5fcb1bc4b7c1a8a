"""`auto` in place of a parameter: its range and default follow from the model's family, the dataset and the optimizer.

Trial 0 has the defaults, so they are what Ultralytics does unasked, or what the paper of the model trains with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raytrainer.config import ultralytics_arguments
from raytrainer.config.dataset import Dataset
from raytrainer.config.document import CLASS_OFFSETS, CLASS_WEIGHTS
from raytrainer.config.reserved import searched
from raytrainer.config.rules import ADAM_FAMILY
from raytrainer.config.trained_classes import alike

AUTO = "auto"
CLASS_POWER = "class_weights_power"
EQUAL = 0.0
"""The power that weighs every class the same."""
RAREST = 3
"""Classes that get an offset of their own, at most: every one more is a dimension more to search."""
RARE = 0.5
"""A class is rare if it has less than this part of the instances that each had if all had as many."""
DOUBLED = round(math.log(2), 2)

Range = Mapping[str, Any]
"""A parameter as it stands in a space file."""


@dataclass(frozen=True)
class Grounds:
    """What a range follows from."""

    family: str
    """yolo or rtdetr."""
    task: str | None
    """The model's, as far as it is known."""
    train: Mapping[str, Any]
    """The fixed training arguments, over Ultralytics' defaults."""
    dataset: Dataset
    """As the training sees it."""
    optimizers: Sequence[str]
    """Those that a trial may have, that of the first trial before the others."""

    @property
    def detr(self) -> bool:
        """Whether it is an RT-DETR."""
        return self.family == "rtdetr"

    @property
    def epochs(self) -> int:
        """Of a trial that is not stopped early."""
        return int(self.train["epochs"])


def _learning_rate(grounds: Grounds) -> Range:
    """RT-DETR: 1e-4 (arXiv 2304.08069). Else a tenth to ten times of each optimizer's, from the first's on."""
    if grounds.detr:
        return {"low": 1e-5, "high": 5e-4, "log": True, "default": 1e-4}
    rates = [_stock_rate(optimizer, len(grounds.dataset.names)) for optimizer in grounds.optimizers]
    return {"low": round(min(rates) / 10, 8), "high": round(max(rates) * 10, 8), "log": True, "default": rates[0]}


def _stock_rate(optimizer: str, classes: int) -> float:
    """What `optimizer: auto` takes, `build_optimizer` in engine/trainer.py; for all but the Adam family 0.01."""
    return round(0.002 * 5 / (4 + classes), 6) if optimizer in ADAM_FAMILY else 0.01


def _warm_up(grounds: Grounds) -> Range:
    high = float(min(5, grounds.epochs - 1))
    return {"low": 0.0, "high": high, "default": min(2.0 if grounds.detr else 3.0, high)}


def _close_mosaic(grounds: Grounds) -> Range:
    """Off for the last tenth, as in 10 of the 100 epochs that Ultralytics trains."""
    return {"low": 0, "high": min(10, grounds.epochs - 1), "default": min(10, grounds.epochs // 10)}


def _backbone(grounds: Grounds) -> Range:
    """A tenth for RT-DETR (arXiv 2304.08069); YOLO's trains as the head does (guide "Customizing Trainer")."""
    low, default = (0.01, 0.1) if grounds.detr else (0.1, 1.0)
    return {"low": low, "high": 1.0, "log": True, "default": default}


def _decay(grounds: Grounds) -> Range:
    return {"low": 1e-5, "high": 1e-3, "log": True, "default": 1e-4 if grounds.detr else 5e-4}


def _clip(grounds: Grounds) -> Range:
    """0.1 for the DETR family, 10 is what Ultralytics fixes, 0 is off (guide "Customizing Trainer")."""
    return {"choices": [0.1, 1, 10, 0] if grounds.detr else [10, 1, 0]}


def _mosaic(grounds: Grounds) -> Range:
    """RT-DETR's paper trains without."""
    return {"choices": [0, 0.5, 1]} if grounds.detr else {"low": 0.0, "high": 1.0, "default": 1.0}


CHOSEN: dict[str, Callable[[Grounds], Range]] = {
    "lr0": _learning_rate,
    "weight_decay": _decay,
    "warmup_epochs": _warm_up,
    "close_mosaic": _close_mosaic,
    "backbone_lr_ratio": _backbone,
    "clip_grad_norm": _clip,
    "mosaic": _mosaic,
}

TUNED: dict[str, tuple[float, float]] = {
    "lrf": (0.01, 1), "momentum": (0.7, 0.98), "warmup_momentum": (0, 0.95), "box": (1, 20), "cls": (0.1, 4),
    "dfl": (0.4, 12), "hsv_h": (0, 0.1), "hsv_s": (0, 0.9), "hsv_v": (0, 0.9), "degrees": (0, 45),
    "translate": (0, 0.9), "scale": (0, 0.95), "shear": (0, 10), "perspective": (0, 0.001), "flipud": (0, 1),
    "fliplr": (0, 1), "bgr": (0, 1), "mixup": (0, 1), "cutmix": (0, 1), "copy_paste": (0, 1),
}  # fmt: skip
"""Ranges of Ultralytics' own tuner (engine/tuner.py); the default is Ultralytics' own as well."""
SCALES = ("lrf", "box", "cls", "dfl")
"""Those that multiply something, and so are searched on a logarithmic scale."""


def known() -> list[str]:
    """Names that may be `auto`."""
    return sorted({*CHOSEN, *TUNED, CLASS_WEIGHTS} & set(searched()))


def chosen(name: str, grounds: Grounds) -> Range:
    """The range of one of `known()`, but for `class_weights`."""
    if name in CHOSEN:
        return CHOSEN[name](grounds)
    low, high = TUNED[name]
    log = {"log": True} if name in SCALES else {}
    return {"low": low, "high": high, **log, "default": ultralytics_arguments.defaults()[name]}


def reason(name: str, grounds: Grounds) -> str:
    """Why a range is wider than one would expect; empty if it is not."""
    rates = {_stock_rate(optimizer, len(grounds.dataset.names)) for optimizer in grounds.optimizers}
    wide = name == "lr0" and not grounds.detr and len(rates) > 1
    return f"wide enough for {' and '.join(grounds.optimizers)}" if wide else ""


def class_weights(dataset: Dataset) -> Iterator[tuple[str, Range]]:
    """One power of the inverse frequency for all classes, and a factor of at most two for each of the rarest.

    However many classes there are, so few numbers are searched; all at their defaults weigh every class the same.
    Nothing where it could have no effect (see `alike`).
    """
    if alike(dataset):
        return
    yield CLASS_POWER, {"low": 0.0, "high": 1.0, "default": EQUAL}
    for label in rarest(dataset):
        yield f"{CLASS_OFFSETS}.{label}", {"low": -DOUBLED, "high": DOUBLED, "default": 0.0}


def rarest(dataset: Dataset) -> list[str]:
    """The classes that are rare, the rarest first; `RAREST` of them at most."""
    counts = {label: count for label, count in dataset.counts.items() if count}
    even = sum(counts.values()) / max(1, len(counts))
    return sorted((label for label, count in counts.items() if count < RARE * even), key=lambda each: counts[each])[
        :RAREST
    ]

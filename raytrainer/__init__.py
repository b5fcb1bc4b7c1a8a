"""raytrainer tunes Ultralytics YOLO and RT-DETR models on a Ray cluster."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from raytrainer.version import __version__

if TYPE_CHECKING:
    from raytrainer.api import tune
    from raytrainer.config.settings import Settings
    from raytrainer.trainer.compose import compose

HOMES = {"tune": "raytrainer.api", "compose": "raytrainer.trainer.compose", "Settings": "raytrainer.config.settings"}
"""What is imported at its first use: torch and Ray take seconds, and `raytrainer --help` needs neither."""

__all__ = ["Settings", "__version__", "compose", "tune"]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""A checkpoint for use, made from one for training."""

from __future__ import annotations

import os
from pathlib import Path

from raytrainer.config.problems import Problem, UserError


def strip(source: Path, target: Path) -> None:
    """Write a copy of a checkpoint without optimizer and training state, in half precision, as Ultralytics ships them.

    The source is left alone; the target appears whole or not at all, and loads in stock `YOLO()` or `RTDETR()`.
    Loading a checkpoint unpickles it: only give it files that this tool wrote.

    Raises:
        UserError: if the source is not an Ultralytics checkpoint.
    """
    from ultralytics.utils.torch_utils import strip_optimizer

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    if not strip_optimizer(source, str(partial)):
        raise UserError([Problem(str(source), None, None, "this is not an Ultralytics checkpoint")])
    os.replace(partial, target)

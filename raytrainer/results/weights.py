"""A checkpoint for use, made from one for training."""

from __future__ import annotations

import shutil
from pathlib import Path

from raytrainer.config.checkpoint_yaml import NoCheckpoint, is_stripped
from raytrainer.config.problems import Problem, UserError
from raytrainer.trainer.atomic import put


def strip(source: Path, target: Path) -> None:
    """Write a copy of a checkpoint without optimizer and training state, in half precision, as Ultralytics ships them.

    The source is left alone; the target appears whole or not at all, and loads in stock `YOLO()` or `RTDETR()`.
    Loading a checkpoint unpickles it: only give it files that this tool wrote.

    Raises:
        UserError: if the source is not an Ultralytics checkpoint.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    if _is_stripped(source):
        shutil.copyfile(source, partial)
    else:
        _strip(source, partial)
    put(partial, target)


def _is_stripped(source: Path) -> bool:
    try:
        return is_stripped(source)
    except NoCheckpoint:
        return False


def _strip(source: Path, target: Path) -> None:
    from ultralytics.utils.torch_utils import strip_optimizer  # with torch, which takes seconds

    if not strip_optimizer(source, str(target)):
        raise UserError([Problem(str(source), None, None, "this is not an Ultralytics checkpoint")])

"""Names that a space file may use for what the demo makes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from raytrainer.config.space import Space
from raytrainer.demo.base_model import base_checkpoint
from raytrainer.demo.dataset import digits

DATA = "builtin:digits"
MODEL = "builtin:digits-base"


def materialise(space: Space, folder: str | Path | None = None, announce: Callable[[str], None] = print) -> Space:
    """The same space with paths in place of `builtin:` names; anything else is left as it is.

    Args:
        space: as loaded.
        folder: where things are made, and found again by the next run. Default: the environment variable
            `RAYTRAINER_DEMO`, or `.demo` in the working folder.
        announce: takes one line before anything that lasts.

    Raises:
        UserError: if scikit-learn is not installed.
        RuntimeError: if the base model could not be trained.
    """
    where = Path(folder or os.environ.get("RAYTRAINER_DEMO") or ".demo").resolve()
    made = {}
    if space.data == DATA:
        made["data"] = str(digits(where))
    if space.model == MODEL:
        made["model"] = str(base_checkpoint(where, announce))
    return space.model_copy(update=made) if made else space

"""What the trials of a node read and would otherwise make each: caches of labels, and decoded images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from raytrainer.config.assemble import TrialConfig
from raytrainer.trainer.process_state import restored_process
from raytrainer.trainer.run import build


def build_caches(config: TrialConfig) -> None:
    """Set a run up as far as its datasets, which makes Ultralytics check every image and keep what it found.

    With `cache: shared` the images are decoded too, and stay when this process ends.

    Raises:
        UserError, FileNotFoundError, RuntimeError, ...: whatever keeps a trial of this configuration from beginning.
    """
    with tempfile.TemporaryDirectory(prefix="raytrainer-caches-") as folder, restored_process():
        trainer: Any = build(config, Path(folder).resolve())
        trainer.setup_model()
        for split, path in (("train", trainer.data["train"]), ("val", trainer.data.get("val") or trainer.data["test"])):
            trainer.build_dataset(path, split, max(int(trainer.args.batch), 1))
    _leave_images()


def _leave_images() -> None:
    import sys

    if sys.platform != "win32":
        from raytrainer.trainer.shared_images import leave

        leave()

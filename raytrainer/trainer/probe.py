"""One batch of a configuration, forward and backward, to find its mistakes before a search spends hours on them."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrainer.config.problems import UserError
from raytrainer.trainer.process_state import restored_process, threads_of_torch
from raytrainer.trainer.run import build, is_out_of_memory, refuse_smaller_batch, release
from raytrainer.trainer.user_error import user_error

if TYPE_CHECKING:
    from raytrainer.config.assemble import TrialConfig

MISTAKES = (SyntaxError, TypeError, ValueError, OSError, ImportError, NotImplementedError, AssertionError, RuntimeError)
"""What Ultralytics raises, while it sets a run up, on arguments, models and datasets that cannot be."""
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class ProbeReport:
    """What one batch showed."""

    parameters: int
    classes: list[str]
    train_images: int
    val_images: int
    batch: int
    """Images in a batch, which Ultralytics may have fitted to the GPU."""
    batches: int
    """Batches an epoch."""
    seconds: float
    """For one batch, forward, backward and optimizer step, warm-up of the libraries included."""
    losses: Mapping[str, float]
    device: str


class _Enough(Exception):
    """The batch is done."""


class _Watch:
    """Ends the training after its first batch."""

    def __init__(self) -> None:
        self.report: ProbeReport | None = None
        self.began: float | None = None

    def begin(self, trainer: Any) -> None:  # noqa: ARG002, a callback
        self.began = time.perf_counter()

    def end(self, trainer: Any) -> None:
        self.report = ProbeReport(
            parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
            classes=list(trainer.data["names"].values()),
            train_images=len(trainer.train_loader.dataset),
            val_images=len(trainer.test_loader.dataset),
            batch=trainer.batch_size,
            batches=len(trainer.train_loader),
            losses={name: float(value) for name, value in trainer.loss_items.items()},
            seconds=time.perf_counter() - (self.began or 0.0),
            device=str(trainer.device),
        )
        raise _Enough


def probe(config: TrialConfig, *, threads: int | None = None) -> ProbeReport:
    """Set a run up and train one batch in a scratch folder; nothing is left but Ultralytics' caches of the labels.

    Those are wanted: trials that start together would otherwise write them all at once.

    Args:
        config: what to try, usually the defaults of a space.
        threads: threads of torch on a CPU.

    Raises:
        UserError: if the run cannot be set up, or its batch does not fit into memory.
    """
    tried = replace(config, train={**config.train, "plots": False, "save": False})
    watch = _Watch()
    trainer: Any = None
    with (
        tempfile.TemporaryDirectory(prefix="raytrainer-probe-") as folder,
        restored_process(),
        threads_of_torch(threads),
    ):
        try:
            trainer = build(tried, Path(folder).resolve())
            trainer.add_callback("on_train_epoch_start", refuse_smaller_batch)
            trainer.add_callback("on_train_batch_start", watch.begin)
            trainer.add_callback("on_train_batch_end", watch.end)
            trainer.train()
        except _Enough:
            assert watch.report is not None
            return watch.report
        except Exception as error:
            raise _explained(error, setting_up=watch.began is None) from error
        finally:
            if trainer is not None:
                release(trainer)
    raise RuntimeError("the training loop ended without a batch")


def _explained(error: Exception, *, setting_up: bool) -> Exception:
    """The user's mistake behind an error, or the error itself if it is not known to be one."""
    if isinstance(error, UserError):
        return error
    if is_out_of_memory(error):
        return user_error("train.batch", f"{_one_line(error)}; choose a smaller batch, imgsz or model")
    if setting_up and isinstance(error, MISTAKES):
        return user_error(_key(error), _one_line(error))
    return error


def _key(error: Exception) -> str:
    text = str(error)
    if isinstance(error, RuntimeError) and text.startswith("Dataset"):
        return "data"
    return "model" if isinstance(error, FileNotFoundError) and re.search(r"\.(pt|ya?ml)\b", text) else "train"


def _one_line(error: Exception) -> str:
    return " ".join(ANSI.sub("", str(error)).split()) or type(error).__name__

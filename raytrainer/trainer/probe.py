"""One batch of a configuration, forward and backward, to find its mistakes before a search spends hours on them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrainer.trainer.disk_need import DiskNeed, disk_need
from raytrainer.trainer.left_out import images_left_out
from raytrainer.trainer.mistakes import explained
from raytrainer.trainer.process_state import restored_process, threads_of_torch
from raytrainer.trainer.run import build, refuse_smaller_batch, release

if TYPE_CHECKING:
    from raytrainer.config.assemble import TrialConfig


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
    disk: DiskNeed
    measured: Mapping[str, float] = field(default_factory=dict)
    """What the architecture costs on that device, if a constraint or an objective asks for it."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Images that Ultralytics leaves out as corrupt, each with the reason."""


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
            disk=disk_need(trainer),
            measured=trainer.measurements,
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
        images_left_out() as left_out,
    ):
        try:
            trainer = build(tried, Path(folder).resolve())
            trainer.add_callback("on_train_epoch_start", refuse_smaller_batch)
            trainer.add_callback("on_train_batch_start", watch.begin)
            trainer.add_callback("on_train_batch_end", watch.end)
            trainer.train()
        except _Enough:
            assert watch.report is not None
            return replace(watch.report, left_out=left_out)
        except Exception as error:
            raise explained(error, setting_up=watch.began is None) from error
        finally:
            if trainer is not None:
                release(trainer)
    raise RuntimeError("the training loop ended without a batch")

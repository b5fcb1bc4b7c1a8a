"""The model's copies on several ranks: wrapped in DDP on a CPU too, and wrapped again when more of it trains."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from raytrainer.trainer import ranks
from raytrainer.trainer.contract import Customisation


class Replica(DistributedDataParallel):
    """DDP that can be wrapped again with the same arguments, and that takes on a CPU what stock training passes."""

    def __init__(self, module: nn.Module, device_ids: list[int | None] | None = None, **options: Any) -> None:
        self.arguments = {"device_ids": device_ids, **options}
        super().__init__(module, device_ids=None if device_ids == [None] else device_ids, **options)


def wrap_again(trainer: Any) -> None:
    """Put the trainer's model into a new DDP. Every rank must call this at the same time; without DDP it does nothing.

    A parameter that is frozen when DDP wraps the model is not in its reducer: after an unfreeze each rank would train
    a copy of its own.
    """
    wrapped = trainer.model
    if not isinstance(wrapped, Replica):
        return
    arguments, trainer.model = wrapped.arguments, wrapped.module
    del wrapped
    gc.collect()  # the old reducer leaves its hooks in the autograd graph until it is freed
    # The replicas are equal, and the statistics of BatchNorm are each rank's own. Handing out rank 0's here would make
    # a run that resumes after the unfreeze, and wraps again in its first epoch, another one.
    trainer.model = Replica(trainer.model, **{**arguments, "init_sync": False})


@contextmanager
def replicas() -> Iterator[None]:
    """Let stock training wrap its model in `Replica`: it looks DDP up only when it wraps, deep in a long method."""
    parallel: Any = nn.parallel
    stock = parallel.DistributedDataParallel
    parallel.DistributedDataParallel = Replica
    try:
        yield
    finally:
        parallel.DistributedDataParallel = stock


class Replicas(Customisation):
    """Trains in ranks that are there already, and wraps the model so that it can be wrapped again."""

    def _setup_ddp(self) -> None:
        """The launcher has initialised the group, and the rank's device was chosen when the trainer was built."""
        if not ranks.launched():
            super()._setup_ddp()

    def _setup_train(self) -> None:
        """Stock set-up; with several ranks its DDP is a `Replica`."""
        with replicas() if self.world_size > 1 else nullcontext():
            super()._setup_train()

"""What every trial of a study is given, and how a process makes a training of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raytrainer.cluster.node import Driver, prepare_node, unfit
from raytrainer.cluster.stall import Watchdog
from raytrainer.cluster.training_thread import TrainingThread
from raytrainer.config.assemble import TrialConfig, assemble
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Space
from raytrainer.trainer.holdings import Holder
from raytrainer.trainer.records import EpochRecord


@dataclass(frozen=True, slots=True)
class Assignment:
    """The same for all trials of a study; shipped to every process that trains one."""

    space: Space
    folder: StudyFolder
    ranks: int
    """Processes that train one trial together."""
    cpus: float
    """CPUs of a rank."""
    gpus: float
    """GPUs of a rank: 0, 1 or a fraction."""
    threads: int
    """Threads of torch in a rank."""
    driver: Driver | None = None
    """What each node is prepared against; None for a cluster of our own, which is the driver's machine."""

    @property
    def on_gpus(self) -> bool:
        """Whether the ranks train on the GPUs that they are given: `train.device` may say that they do not."""
        return self.gpus > 0 and self.space.train.get("device") is None

    def holder(self, number: int, since: float) -> Holder:
        """Writes down how long a trial is held, with all that it reserves, from `since` on."""
        return Holder(self.folder.holdings(number), self.ranks * self.cpus, self.ranks * self.gpus, since)


@dataclass(frozen=True, slots=True)
class Order:
    """One trial of the study, for the processes that train it."""

    number: int
    params: Mapping[str, Any]
    amended: Mapping[str, Any]
    """Training arguments that this trial alone has (see `assemble`)."""
    later: Sequence[tuple[int, Mapping[str, Any]]] = ()
    """What changes while it trains (see `assemble`)."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Order:
        """From the configuration that `StudySearcher` hands out."""
        return cls(config["number"], config["params"], config["amended"], config.get("later", ()))

    def config(self, space: Space) -> TrialConfig:
        """What is to be trained."""
        return assemble(space, self.params, self.amended, self.later)


def prepare(assignment: Assignment) -> None:
    """Prepare the node, if no other process has, and set what the libraries read when they are first imported.

    Raises:
        NodeUnfit: if the node could not be prepared, or torch finds no GPU where Ray has given one.
    """
    if assignment.driver is not None:
        prepare_node(assignment.space, assignment.folder, assignment.driver)
    from raytrainer.trainer.environment import prepare_process

    if not assignment.gpus:
        # Ray leaves the variable unset for an actor without GPUs, which would show it all of the node's.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    prepare_process(offline=True)
    if assignment.on_gpus:
        _take_gpu(assignment.gpus)


def _take_gpu(share: float) -> None:
    """Keep to a share of the GPU's memory. A GPU of Ray's need not be one: `num_gpus` may say what it likes."""
    import torch

    if not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise unfit(f"Ray gives GPU {visible} of it to this study, but torch {torch.__version__} finds no GPU there")
    if share < 1:
        torch.cuda.set_per_process_memory_fraction(share)


def let_go() -> None:
    """Remove what trainings of this process have left outside of it, unless other processes need it."""
    shared_images = sys.modules.get("raytrainer.trainer.shared_images")
    if shared_images is not None:
        shared_images.let_go()


def training(assignment: Assignment, order: Order) -> TrainingThread:
    """The training of one trial in this process, from its last epoch on if it has begun before."""
    from raytrainer.trainer.checkpoint import strip
    from raytrainer.trainer.ranks import is_main
    from raytrainer.trainer.run import StopTraining, train

    config, folder = order.config(assignment.space), assignment.folder.trial(order.number)
    minutes = assignment.space.failures.stall_minutes
    watchdog = Watchdog(None if minutes is None else 60 * minutes)

    def run(on_epoch: Callable[[EpochRecord], None]) -> None:
        def pause(record: EpochRecord) -> None:
            watchdog.rest()
            on_epoch(record)
            watchdog.batch()

        watchdog.batch()
        try:
            # A batch that does not fit ends the training: halved behind its back it would be another configuration.
            train(
                config, folder, threads=assignment.threads, on_epoch=pause, on_batch=watchdog.batch,
                final_eval=False, replay=True, fixed_batch=True, measured=assignment.folder.measured,
            )  # fmt: skip
            if is_main():
                strip(folder / "weights")  # here, where torch is: the driver would load it for the best trial alone
        finally:
            watchdog.rest()

    return TrainingThread(run, StopTraining)

"""What every trial of a study is given, and how a process makes a training of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from raytrainer.cluster.training_thread import Event, TrainingThread
from raytrainer.config.assemble import assemble
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Space
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


class Training(Protocol):
    """A training that goes on from one epoch's end to the next when it is told to."""

    def next(self) -> Event:
        """Train to the end of the next validated epoch, or to the end."""

    def abandon(self, seconds: float) -> bool:
        """End it where it stands; False if it still runs after `seconds`."""


def prepare(assignment: Assignment) -> None:
    """Set what the libraries read when they are first imported."""
    from raytrainer.trainer.environment import prepare_process

    if not assignment.gpus:
        # Ray leaves the variable unset for an actor without GPUs, which would show it all of the node's.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    prepare_process(offline=True)
    if 0 < assignment.gpus < 1:
        import torch

        torch.cuda.set_per_process_memory_fraction(assignment.gpus)


def training(assignment: Assignment, number: int, params: dict[str, Any]) -> TrainingThread:
    """The training of one trial in this process, from its last epoch on if it has begun before."""
    from raytrainer.trainer.run import StopTraining, train

    config = assemble(assignment.space, params)
    folder = assignment.folder.trial(number)

    def run(on_epoch: Callable[[EpochRecord], None]) -> None:
        # A batch that does not fit fails the trial: halved behind its back it would be another configuration.
        options = {"final_eval": False, "replay": True, "fixed_batch": True}
        train(config, folder, threads=assignment.threads, on_epoch=on_epoch, **options)

    return TrainingThread(run, StopTraining)

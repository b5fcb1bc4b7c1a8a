"""One trial on the cluster: a Ray actor that trains, reports every epoch, and is reused for the next trial.

Ray keeps no checkpoints for it. A trial's state lives in its folder of the study, whole after every epoch, so an actor
that died, or a driver that did, goes on from there whoever starts it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from ray import tune
from ray.tune.result import DONE, RESULT_DUPLICATE

from raytrainer.cluster.output import OutputTo
from raytrainer.cluster.training_thread import Failed, Finished, TrainingThread
from raytrainer.config.assemble import assemble
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Space
from raytrainer.trainer.records import EpochRecord

ABANDON_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """What every trial of a study is given, shipped to an actor once with its class."""

    space: Space
    folder: StudyFolder
    gpus: float
    threads: int


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Trains one configuration at a time; subclassed by `trial_class` with what all trials of a study share.

    Its configuration is `{"number": int, "params": dict}`. A result is `{"epoch", "fitness", "record", "done": False}`
    for every validated epoch; an error inside the training is a result too, `{"failed": reason, "done": True}`, so that
    the search hears the reason and Ray's retries are left to processes that died.
    """

    assignment: ClassVar[Assignment]

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the process for its life and start on the first trial."""
        _prepare(self.assignment)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Leave the trial that was stopped and take up another in the same process."""
        self._end()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train to the end of the next validated epoch."""
        event = self._training.next()
        if isinstance(event, EpochRecord):
            self._epoch = event.epoch
            return {"epoch": event.epoch, "fitness": event.fitness, "record": asdict(event), DONE: False}
        self._output.close()
        if isinstance(event, Failed):
            return {"failed": event.reason, DONE: True}
        return {RESULT_DUPLICATE: True}

    def cleanup(self) -> None:
        """Stop training; Ray calls this before it ends the actor."""
        self._end()

    def __repr__(self) -> str:
        """The name of the actor in Ray's dashboard."""
        shown = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in self._params.items())
        return f"trial {self._number} ({shown})"

    def _begin(self, config: dict[str, Any]) -> None:
        self._number: int = config["number"]
        self._params: dict[str, Any] = config["params"]
        self._epoch = 0
        self._output = OutputTo(self.assignment.folder.trial_log(self._number))
        self._training = _training(self.assignment, self._number, self._params)

    def _end(self) -> None:
        if not self._training.abandon(ABANDON_SECONDS):
            # A training that cannot be stopped must not share the process with the next one. Ray starts another.
            os._exit(1)
        self._output.close()


def trial_class(assignment: Assignment) -> type[TrialActor]:
    """The actor class of one study; a subclass made here is pickled whole, so workers get the assignment with it."""
    return type("Trial", (TrialActor,), {"assignment": assignment})


def _prepare(assignment: Assignment) -> None:
    """Set what the libraries read when they are first imported."""
    from raytrainer.trainer.environment import prepare_process

    if not assignment.gpus:
        # Ray leaves the variable unset for an actor without GPUs, which would show it all of the node's.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    prepare_process(offline=True)
    if 0 < assignment.gpus < 1:
        import torch

        torch.cuda.set_per_process_memory_fraction(assignment.gpus)


def _training(assignment: Assignment, number: int, params: dict[str, Any]) -> TrainingThread:
    from raytrainer.trainer.run import StopTraining, train

    config = assemble(assignment.space, params)
    folder: Path = assignment.folder.trial(number)

    def run(on_epoch: Callable[[EpochRecord], None]) -> None:
        train(config, folder, threads=assignment.threads, on_epoch=on_epoch, final_eval=False, replay=True)

    return TrainingThread(run, StopTraining)


__all__ = ["Assignment", "Finished", "TrialActor", "trial_class"]

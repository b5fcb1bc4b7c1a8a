"""One trial on the cluster: a Ray actor that trains, reports every epoch, and is reused for the next trial.

Ray keeps no checkpoints for it. A trial's state lives in its folder of the study, whole after every epoch, so an actor
that died, or a driver that did, goes on from there whoever starts it again.
"""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar

from ray import tune
from ray.tune.result import DONE, RESULT_DUPLICATE

from raytrainer.cluster.assignment import Assignment, Order, let_go, prepare, training
from raytrainer.cluster.disk_wait import DiskWait
from raytrainer.cluster.memory_retry import MemoryRetry
from raytrainer.cluster.node import NodeUnfit
from raytrainer.cluster.output import OutputTo
from raytrainer.cluster.rank_group import GroupTraining, RankGroup
from raytrainer.cluster.rehearsal import SEAT, Seat
from raytrainer.cluster.training_thread import Amended, Excluded, Failed, Training, Waiting
from raytrainer.trainer.holdings import Holder
from raytrainer.trainer.records import EpochRecord

ABANDON_SECONDS = 60.0


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Trains one configuration at a time; subclassed by `trial_class` with what all trials of a study share.

    Its configuration is an `Order` as a dict, or a seat of a `Rehearsal`. A result is `{"epoch", "fitness", "done":
    False}` for every validated epoch, with `violations` of constraints and `others`, all objectives but the fitness,
    where there are any; the whole record stays in the trial's folder. An error inside the training is a result too,
    `{"failed": reason, "done": True}`, so that the search hears the reason and Ray's retries are left to processes that
    died; `{"amended": pairs, "done": False}` says that it goes on with arguments of its own, and `{"excluded": reason,
    "violations", "done": True}` that its architecture violates a constraint.

    With one rank the training runs in this process, else in one actor a rank.
    """

    assignment: ClassVar[Assignment]

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the process for its life and start on the first trial."""
        self._output: OutputTo | None = None
        self._training: MemoryRetry | None = None
        self._holder: Holder | None = None
        self._seat: Seat | None = None
        self._group = RankGroup(self.assignment) if self.assignment.ranks > 1 else None
        self._unfit: NodeUnfit | None = None
        began = time.monotonic()
        try:
            if self._group is None:
                prepare(self.assignment)
            self._begin(config, began)
        except NodeUnfit as error:
            self._unfit = error  # raised by the first step: Ray gives up a trial whose process does not start

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Leave the trial that was stopped and take up another in the same process."""
        self._end()
        self._begin(new_config, time.monotonic())
        return True

    def step(self) -> dict[str, Any]:
        """Train to the end of the next validated epoch.

        Raises:
            RankLost: if the process of a rank died; Ray then starts the trial again, from its last epoch.
            NodeUnfit: if the node could not be prepared; Ray then starts the trial again, on another node.
        """
        if self._unfit is not None:
            raise self._unfit
        if self._training is None:
            assert self._seat is not None
            return {**self._seat.step(), DONE: False}
        event = self._training.next()
        self._still_held()
        if isinstance(event, EpochRecord):
            beside = {"violations": event.violations, "others": event.others}
            told = {key: values for key, values in beside.items() if values}
            return {"epoch": event.epoch, "fitness": event.fitness, **told, DONE: False}
        if isinstance(event, Waiting):
            return {"waiting": event.reason, DONE: False}
        if isinstance(event, Amended):
            return {"amended": [*event.arguments.items()], DONE: False}
        self._holder = None
        self._close_output()
        if isinstance(event, Failed):
            return {"failed": event.reason, DONE: True}
        if isinstance(event, Excluded):
            return {"excluded": event.reason, "violations": event.violations, DONE: True}
        return {RESULT_DUPLICATE: True}

    def cleanup(self) -> None:
        """Stop training and end the ranks; Ray calls this before it ends the actor."""
        self._end()
        let_go()
        if self._group is not None:
            self._group.end()

    def __repr__(self) -> str:
        """The name of the actor in Ray's dashboard."""
        if self._training is None:
            return "the first batch, tried before the first trial"
        params = self._order.params
        shown = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in params.items())
        return f"trial {self._order.number} ({shown})"

    def _begin(self, config: dict[str, Any], since: float) -> None:
        if SEAT in config:
            self._seat = Seat(self.assignment, config[SEAT])
            return
        self._order = Order.of(config)
        self._holder = self.assignment.holder(self._order.number, since)
        self._training = MemoryRetry(self.assignment, self._order, self._waiting)

    def _waiting(self, order: Order) -> DiskWait:
        return DiskWait(lambda: self._start(order), self.assignment.folder)

    def _start(self, order: Order) -> Training:
        if self._group is not None:
            return GroupTraining(self._group, order)
        self._close_output()  # the disk that it was on may be gone, and another there
        self._output = OutputTo(self.assignment.folder.trial_log(order.number))
        return training(self.assignment, order)

    def _end(self) -> None:
        if self._training is not None and not self._training.abandon(ABANDON_SECONDS):
            # A training that cannot be stopped must not share the process with the next one. Ray starts another.
            os._exit(1)
        self._still_held()
        self._holder = None
        self._close_output()

    def _still_held(self) -> None:
        if self._holder is not None:
            self._holder.still()

    def _close_output(self) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None


def trial_class(assignment: Assignment) -> type[TrialActor]:
    """The actor class of one study; a subclass made here is pickled whole, so workers get the assignment with it."""
    return type("Trial", (TrialActor,), {"assignment": assignment})

"""Out of memory is no verdict on a configuration: the trial begins again with half the batch, accumulated twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from raytrainer.cluster.assignment import Assignment, Order
from raytrainer.cluster.training_thread import Amended, Event, Failed, Training
from raytrainer.config.smaller_batch import halved
from raytrainer.trainer.records import EpochRecord


class MemoryRetry:
    """A training that is begun again when memory was short.

    Before its first epoch it begins with half the batch, as often as that can be halved, and says so. Later it goes on
    from its last epoch with the same batch, once an epoch: what fitted before was pushed out by a neighbour, and the
    same trial cannot have two sizes of batch.

    Args:
        assignment: the study's; `failures.on_oom` decides whether anything is tried again.
        order: the trial.
        begin: starts a training of an order.
    """

    def __init__(self, assignment: Assignment, order: Order, begin: Callable[[Order], Training]) -> None:
        self._assignment, self._order, self._begin = assignment, order, begin
        self._training = begin(order)
        self._epoch = 0
        self._again_after = 0

    def next(self) -> Event:
        """Train to the end of the next validated epoch, to the end, or to where it begins again with less."""
        event = self._training.next()
        while isinstance(event, Failed) and self._same_again(event):
            event = self._training.next()
        if isinstance(event, EpochRecord):
            self._epoch = max(self._epoch, event.epoch)
        smaller = self._smaller() if isinstance(event, Failed) and self._may_retry(event) and not self._epoch else None
        return self._amended(smaller) if smaller is not None else event

    def abandon(self, seconds: float) -> bool:
        """End it where it stands; False if it still runs after `seconds`."""
        return self._training.abandon(seconds)

    def _may_retry(self, event: Failed) -> bool:
        return event.short_of == "memory" and self._assignment.space.failures.on_oom == "retry"

    def _same_again(self, event: Failed) -> bool:
        """Go on from the last epoch, if it was not tried from there before."""
        if not self._may_retry(event) or self._epoch <= self._again_after:
            return False
        self._again_after = self._epoch
        self._training = self._begin(self._order)
        return True

    def _smaller(self) -> Mapping[str, Any] | None:
        return halved(self._order.config(self._assignment.space).train, self._assignment.ranks)

    def _amended(self, arguments: Mapping[str, Any]) -> Amended:
        self._order = replace(self._order, amended={**self._order.amended, **arguments})
        self._training = self._begin(self._order)
        return Amended(self._order.amended)

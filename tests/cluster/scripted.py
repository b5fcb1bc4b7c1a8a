"""A training whose events are written down beforehand."""

from __future__ import annotations

from raytrainer.cluster.training_thread import Event


class Scripted:
    """Gives the events of a list, and cannot be abandoned."""

    def __init__(self, events: list[Event]) -> None:
        self._events = iter(events)

    def next(self) -> Event:
        return next(self._events)

    def abandon(self, seconds: float) -> bool:  # noqa: ARG002
        return False

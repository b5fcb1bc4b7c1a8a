"""A set-up that is broken fails every trial alike, and must not burn them all."""

from __future__ import annotations

import re

from raytrainer.config.space import Space

ARCHITECTURE = frozenset({"imgsz"})
"""What can be searched on which `latency_ms` or another measurement of the architecture depends."""
NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")


class FirstFailures:
    """Holds failures back until a trial has shown that trials can train.

    Before this driver has seen an epoch, trials that fail alike say more about the set-up than about themselves. They
    are kept from the study, where a failure is final: after `limit` of them the study stops, and the same command
    goes on with the very same trials once the set-up is mended. An epoch, or a failure of another kind, shows that they
    failed by their own fault.

    Args:
        limit: failures that stop the study; None holds nothing back.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._held: dict[int, str] | None = None if limit is None else {}
        self._ruled_out: str | None = None

    def hold(self, number: int, reason: str) -> bool:
        """Take a failure; False if it is the trial's own and belongs into the study."""
        if self._held is None or any(_kind(other) != _kind(reason) for other in self._held.values()):
            return False
        self._held[number] = reason
        return True

    def release(self) -> dict[int, str]:
        """What was held, by the trial's number; nothing is held any more."""
        held, self._held = self._held or {}, None
        return held

    def excluded(self, reason: str | None, space: Space) -> None:
        """Take why the architecture of a trial violates a constraint, if it does: if nothing changes it, all do."""
        if reason is not None and not space.space.keys() & ARCHITECTURE:
            self._ruled_out = f"{reason}, which nothing that is searched changes"

    @property
    def broken(self) -> str | None:
        """The error that every trial fails with; None as long as that is not certain."""
        if self._ruled_out is not None:
            return self._ruled_out
        certain = self._held is not None and self._limit is not None and len(self._held) >= self._limit
        return next(iter((self._held or {}).values())) if certain else None


def _kind(reason: str) -> str:
    """A reason without its numbers: addresses, sizes and trial folders differ from trial to trial."""
    return NUMBERS.sub("0", reason)

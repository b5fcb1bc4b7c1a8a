"""A set-up that is broken fails every trial alike, and must not burn them all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from raytrainer.config.constraints import parse_constraint
from raytrainer.config.space import Space
from raytrainer.config.unchanged import unchanged
from raytrainer.search.views import TrialView

if TYPE_CHECKING:
    from raytrainer.search.ledger import Ledger

BROKEN = "broken"
"""Study attribute: what the study stopped for; None or absent if it did not, or has trained since."""
NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")


class FirstFailures:
    """Holds failures back until a trial has shown that trials can train.

    Before this driver has seen an epoch, trials that fail alike say more about the set-up than about themselves. They
    are kept from the study, where a failure is final: after `limit` of them the study stops, and the same command
    goes on with the very same trials once the set-up is mended. An epoch, or a failure of another kind, shows that they
    failed by their own fault.

    Trials whose architecture violates a constraint are counted too, if nothing that is searched changes that. They have
    ended, and the study stops after `limit` of them. But a latency differs between devices: those that run then may be
    on faster ones, so that their ends are waited for.

    Args:
        limit: failures, or violations, that stop the study; None holds nothing back and stops nothing.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._held: dict[int, str] | None = None if limit is None else {}
        self._excluded = 0
        self._awaited: set[int] = set()
        self._ruled_out: str | None = None

    def hold(self, number: int, reason: str) -> bool:
        """Take a failure; False if it is the trial's own and belongs into the study."""
        if self._held is None or any(_kind(other) != _kind(reason) for other in self._held.values()):
            return False
        self._held[number] = reason
        return True

    def counted(self, views: Sequence[TrialView]) -> Sequence[TrialView]:
        """The study's trials with those as failed whose failures are held: they take no more of a budget."""
        held = self._held or {}
        return [replace(view, state="failed") if view.number in held else view for view in views] if held else views

    def release(self) -> dict[int, str]:
        """What was held, by the trial's number; nothing is held any more."""
        held, self._held = self._held or {}, None
        return held

    def excluded(self, reason: str, violations: Sequence[float], space: Space, views: Sequence[TrialView]) -> None:
        """Take why the architecture of a trial violates constraints, and how far each; of another trial, nothing.

        `views` are the study's trials, that one among them with its end.
        """
        unchanging = _unchanging(violations, space)
        if self._held is None or self._limit is None or not unchanging:
            return
        self._excluded += 1
        running = {view.number for view in views if view.state == "running"} - self._held.keys()
        if self._excluded == self._limit:
            self._awaited = running
        if self._excluded >= self._limit and not self._awaited & running:
            self._ruled_out = f"{reason}; nothing that is searched changes {' and '.join(unchanging)}"

    @property
    def broken(self) -> str | None:
        """The error that every trial fails with, or the constraint that none keeps; None while that is not certain."""
        if self._ruled_out is not None:
            return self._ruled_out
        certain = self._held is not None and self._limit is not None and len(self._held) >= self._limit
        return next(iter((self._held or {}).values())) if certain else None


def keep_broken(ledger: Ledger, broken: str | None) -> bool:
    """Keep what a study stops for, or that nothing stops it, for whoever looks at it; whether something does."""
    if ledger.attrs().get(BROKEN) != broken:
        ledger.set_attr(BROKEN, broken)
    return broken is not None


def _unchanging(violations: Sequence[float], space: Space) -> list[str]:
    """The measurements in violated constraints that depend on nothing that is searched, sorted."""
    same = unchanged(space)
    violated = [text for text, by in zip(space.subject_to, violations, strict=False) if by > 0]
    measured = [parse_constraint(text).left.metrics for text in violated]
    return sorted(frozenset().union(*(names for names in measured if names <= same)))


def _kind(reason: str) -> str:
    """A reason without its numbers: addresses, sizes and trial folders differ from trial to trial."""
    return NUMBERS.sub("0", reason)

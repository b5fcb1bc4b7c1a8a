"""The study: what was tried, what came of it, what to try next. Its journal on disk is the only truth about it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from optuna.trial import TrialState

from raytrainer.config.assemble import defaults
from raytrainer.config.layout import StudyFolder
from raytrainer.config.parameters import Scalar
from raytrainer.config.space import Space
from raytrainer.search.budget import spent
from raytrainer.search.disk import open_disk
from raytrainer.search.first_failures import FirstFailures
from raytrainer.search.ledger import Ledger
from raytrainer.search.lock import DriverLock
from raytrainer.search.samplers import suggester_of
from raytrainer.search.settling import settle
from raytrainer.search.stopping import BASELINE, decider_of
from raytrainer.search.suggestion import distribution, draw_noted
from raytrainer.search.views import PAUSED, PROMOTED, TrialView, best_of, view_of
from raytrainer.search.writer import Writer

__all__ = ["Study", "TrialHandle", "TrialView"]

ENDINGS = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True)
class TrialHandle:
    """A trial to run: its number in the study and the searched parameters that are active in it."""

    number: int
    params: dict[str, Scalar]
    amended: dict[str, Any] = field(default_factory=dict)
    """Training arguments that this trial alone has, over those of the space; kept as the note of that name."""


class Study:
    """One study in its folder, opened by the one driver that may write it.

    Reads (`snapshot`, `best`, `baseline`) may come from any thread at any time and never wait for a suggestion.
    """

    def __init__(self, folder: StudyFolder, space: Space, *, extend: bool = False) -> None:
        self.folder, self.space = folder, space
        self.closing = False
        """Set while the driver shuts down: nothing is finished any more, so that the next start adopts it."""
        self.tell: Callable[[str], None] = lambda _: None
        """Takes a line when the storage is in trouble and when it is well again, in any thread."""
        self._decider = decider_of(space)
        self._first_failures = FirstFailures(space.failures.same_error)
        self._suggester = suggester_of(space)
        self._lock = RLock()
        self._drafted: int | None = None
        with ExitStack() as held:
            self._driver = DriverLock(folder.path)
            held.callback(self._driver.release)
            place = str(space.storage.url or folder.journal)
            disk = open_disk(folder, space.storage, space.name, self._driver)
            held.callback(disk.close)
            writer = Writer(disk, place, lambda text: self.tell(text))
            held.callback(writer.end, 0.0)
            self._ledger = Ledger(disk, space.name, writer)
            settle(self._ledger, space, place, extend=extend)
            held.pop_all()
        self._views = [view_of(trial) for trial in self._ledger.trials()]
        self._orphans = [view.number for view in self._views if view.state == "running"]
        self._epochs = sum(len(view.values) for view in self._views)
        self._opened, self._seconds_before = time.monotonic(), float(self._ledger.attrs().get("seconds", 0))

    @classmethod
    def open(cls, folder: Path, space: Space, *, extend: bool = False) -> Study:
        """Creates the study of `space` in `folder`, or opens the one that is there; `extend` lets the space be wider.

        Raises:
            UserError: if another driver runs it, if the space has changed since (what is in `changes.FREE` may), if
                its storage is damaged or cannot be reached, or if the sampler is unknown or refuses its arguments.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return cls(StudyFolder(folder), space, extend=extend)

    def close(self) -> None:
        """Writes what is pending and lets another driver in. The study is not to be used afterwards."""
        with self._lock:
            try:
                self._ledger.set_attr("seconds", self.seconds)
                self._ledger.close()
            finally:
                self._driver.release()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self) -> TrialHandle | None:
        """The next trial, running from now on; None when the budget is spent, no trial gets anywhere, or if `behind`.

        A paused trial that is to go on comes before a new one. Those that nobody can overtake any more end with the
        last running one. Trial 0 has the space's defaults. What the sampler suggests is a function of the study and its
        seed.
        """
        with self._lock:
            if not self._ledger.settled():
                return None
            if self._drafted is None:
                self._drafted = self._next()
            if self._drafted is None or not self._ledger.settled():
                return None
            number, self._drafted = self._drafted, None
            return self._handle(number)

    @property
    def behind(self) -> bool:
        """Whether the storage has not taken everything yet: no trial is begun, and none is forgotten, until it has."""
        return not self._ledger.settled()

    def adopt(self) -> list[TrialHandle]:
        """Trials that an earlier driver left running, to go on with the same number and parameters.

        One that was to be stopped when that driver died is stopped now and not among them.
        """
        with self._lock:
            for number in self._orphans:
                if self.should_stop(number):
                    self.give_up(number)
            return [self._handle(number) for number in self._orphans if self._views[number].state == "running"]

    def report(self, number: int, epoch: int, fitness: float) -> None:
        """Adds the fitness of an epoch, counted from 1, to a trial's curve.

        An epoch that is there already, or that comes after the trial's end, is ignored. A fitness that is not finite
        fails the trial.
        """
        with self._lock:
            view = self._views[number]
            if view.state != "running" or epoch in view.values:
                return
            if not math.isfinite(fitness):
                self.finish(number, "failed", f"the fitness was {fitness} at epoch {epoch}")
                return
            self._ledger.report(number, epoch, fitness)
            self._epochs += 1
            self._refresh(number)
            self.tell_held()

    def should_stop(self, number: int) -> bool:
        """Whether the early stopping rule gives up on a running trial at its last epoch."""
        views = self._views
        return views[number].state == "running" and self._decider.decide(number, views[number].last_epoch, views)

    def give_up(self, number: int) -> None:
        """Ends a running trial as pruned, or pauses it if that is the rule; ignored as by `finish`."""
        with self._lock:
            if not self._decider.pauses:
                self.finish(number, "pruned")
            elif self._views[number].state == "running" and not self.closing:
                self._ledger.note(number, PAUSED, self._views[number].last_epoch)
                self._refresh(number)

    @property
    def waits(self) -> bool:
        """Whether trials are paused that may still go on."""
        return any(view.state == "paused" for view in self._views)

    def finish(self, number: int, state: Literal["complete", "pruned", "failed"], reason: str | None = None) -> None:
        """Ends a trial: its value is its best fitness so far, a failed one has none but its reason and its curve.

        Ignored for a trial that has ended, and while the study is closing. A complete trial without a single
        validated epoch has failed. Failures that look like those of a broken set-up are held back (`broken`).
        """
        with self._lock:
            view = self._views[number]
            if self.closing or view.state != "running":
                return
            if state == "complete" and view.best_fitness is None:
                state, reason = "failed", reason or "no epoch was validated"
            if state != "failed":
                self._end(number, state)
            elif self._first_failures.hold(number, reason or "unknown"):
                self.closing = self.broken is not None
            else:
                self.tell_held()
                self._end(number, "failed", reason or "unknown")

    @property
    def broken(self) -> str | None:
        """The error with which every trial fails that this driver started (see `FirstFailures`); None if there is none.

        The study then closes by itself, and the trials go on at the next start.
        """
        return self._first_failures.broken

    def tell_held(self) -> None:
        """Fails the trials whose failures were held back: it is by their own fault."""
        with self._lock:
            for number, reason in self._first_failures.release().items():
                self._end(number, "failed", reason)

    def note(self, number: int, **attrs: Any) -> None:
        """Keeps JSON data about a running trial; it is in the view's `notes`.

        Raises:
            ValueError: if the trial has ended.
        """
        with self._lock:
            if self._views[number].state != "running":
                raise ValueError(f"trial {number} is {self._views[number].state} and takes no notes")
            for key, value in attrs.items():
                self._ledger.note(number, key, value)
            self._refresh(number)

    def snapshot(self) -> list[TrialView]:
        """Every trial by number, as of now. Cheap, and safe in any thread."""
        return list(self._views)

    def best(self) -> TrialView | None:
        """The trial to export (see `views.best_of`)."""
        return best_of(self.snapshot())

    def baseline(self) -> TrialView | None:
        """Trial 0, which runs the space's defaults; None before it exists."""
        return self._views[BASELINE] if self._views else None

    @property
    def epochs(self) -> int:
        """Epochs reported so far, over all trials."""
        return self._epochs

    @property
    def seconds(self) -> float:
        """Seconds that drivers have spent on this study. One that was killed counts up to its last finished trial."""
        return self._seconds_before + time.monotonic() - self._opened

    def exhausted(self) -> str | None:
        """Which budget is spent, in words; None while there is some of each left."""
        trials = self.space.search.trials
        return f"{trials} trials" if len(self._views) >= trials else self._spent()

    def _spent(self) -> str | None:
        return spent(self.space.search, self._epochs, self.seconds)

    def _next(self) -> int | None:
        if (paused := self._promoted()) is not None:
            return paused
        if self.exhausted() is not None or self.broken is not None:
            self._end_paused()
            return None
        number = self._add_defaults() if not self._views else self._suggest()
        self._views.append(view_of(self._ledger.trial(number)))
        return number

    def _add_defaults(self) -> int:
        params = dict(sorted(defaults(self.space).items()))
        distributions = {name: distribution(self.space.space[name]) for name in params}
        return self._ledger.add(params, distributions, source="defaults")

    def _suggest(self) -> int:
        sampler = self._suggester.sampler(len(self._views))
        shown = self._suggester.shown(self._ledger.trials())
        return self._ledger.suggest(sampler, shown, lambda trial: draw_noted(trial, self.space, self._views))

    def _promoted(self) -> int | None:
        """The paused trial that is to go on, noted as running again; None if there is none."""
        number = self._decider.promote(self._views) if self.broken is None and self._spent() is None else None
        if number is not None:
            self._ledger.note(number, PROMOTED, self._views[number].last_epoch)
            self._refresh(number)
        return number

    def _end_paused(self) -> None:
        if self.broken is None and not any(view.state == "running" for view in self._views):
            for number in [view.number for view in self._views if view.state == "paused"]:
                self._end(number, "pruned")

    def _end(self, number: int, state: str, reason: str | None = None) -> None:
        self._ledger.set_attr("seconds", self.seconds)
        value = None if state == "failed" else self._views[number].best_fitness
        self._ledger.finish(number, ENDINGS[state], value, reason)
        self._refresh(number)

    def _handle(self, number: int) -> TrialHandle:
        view = self._views[number]
        return TrialHandle(number, dict(view.params), dict(view.notes.get("amended", {})))

    def _refresh(self, number: int) -> None:
        self._views[number] = view_of(self._ledger.trial(number))

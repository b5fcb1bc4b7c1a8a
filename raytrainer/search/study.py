"""The study: what was tried, what came of it, what to try next. Its journal on disk is the only truth about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Space
from raytrainer.search.budget import Standing
from raytrainer.search.disk import open_disk
from raytrainer.search.drafting import Drafter, TrialHandle
from raytrainer.search.enough import ENOUGH, GAIN, Enough
from raytrainer.search.epoch_notes import epoch_note, not_finite
from raytrainer.search.expectation import expected
from raytrainer.search.first_failures import FirstFailures, keep_broken
from raytrainer.search.ledger import Ledger
from raytrainer.search.lock import DriverLock
from raytrainer.search.meter import HoursOf, Meter, unknown
from raytrainer.search.planning import Planner
from raytrainer.search.population import Turning
from raytrainer.search.settling import settle
from raytrainer.search.views import BASELINE, CUT, ENDINGS, PAUSED, PROMOTED, Ending, TrialView, best_of, view_of
from raytrainer.search.writer import Writer

__all__ = ["Study", "TrialHandle", "TrialView"]


class Study:
    """One study in its folder, opened by the one driver that may write it.

    Reads (`snapshot`, `best`, `baseline`) may come from any thread at any time and never wait for a suggestion.
    """

    def __init__(self, folder: StudyFolder, space: Space, *, extend: bool, hours: HoursOf) -> None:
        self.folder, self.space = folder, space
        self.closing = False
        """Set while the driver shuts down: nothing is finished any more, so that the next start adopts it."""
        self.tell: Callable[[str], None] = lambda _: None
        """Takes a line when the storage is in trouble and when it is well again, in any thread."""
        self._planner, self.turning = Planner.of(space), Turning(self)
        self._first_failures = FirstFailures(space.failures.same_error)
        self._drafter = Drafter(space)
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
            self._ledger = Ledger(disk, space.name, writer, len(space.objectives))
            settle(self._ledger, space, place, extend=extend)
            held.pop_all()
        self._views = [view_of(trial) for trial in self._ledger.trials()]
        self._orphans = [view.number for view in self._views if view.state == "running"]
        self._enough = Enough.kept(self._ledger.attrs(), space.search)
        seconds, write = float(self._ledger.attrs().get("seconds", 0)), partial(self._ledger.set_attr, "seconds")
        self._meter = Meter(space.search.budget, self._views, seconds, hours, write, self._ledger.note)

    @classmethod
    def open(cls, folder: Path, space: Space, *, extend: bool = False, hours: HoursOf = unknown) -> Study:
        """Creates the study of `space` in `folder`, or opens the one that is there; `extend` lets the space be wider.

        `hours` says what a trial has taken, for a budget of GPU-hours, CPU-hours or time.

        Raises:
            UserError: if another driver runs it, if the space has changed since (what is in `changes.FREE` may), if
                its storage is damaged or cannot be reached, or if the sampler is unknown or refuses its arguments.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return cls(StudyFolder(folder), space, extend=extend, hours=hours)

    def close(self) -> None:
        """Writes what is pending and lets another driver in. The study is not to be used afterwards."""
        with self._lock:
            try:
                self._meter.write()
                self._ledger.close()
            finally:
                self._driver.release()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self) -> TrialHandle | None:
        """The next trial, running from now on; None when there is none now (see `waits`), or if `behind`.

        A paused trial that is to go on comes before a new one. Those that nobody can overtake any more end with the
        last running one, unless a larger budget would let them go on (see `Planner`). Trial 0 has the space's defaults.
        What the sampler suggests is a function of the study and its seed.
        """
        with self._lock:
            if not self._ledger.settled():
                return None
            if self._drafted is None:
                self._drafted = self._next()
            if self._drafted is None or not self._ledger.settled():
                return None
            number, self._drafted = self._drafted, None
            return TrialHandle.of(self._views[number])

    @property
    def behind(self) -> bool:
        """Whether the storage has not taken everything yet: no trial is begun, and none is forgotten, until it has."""
        return self.turning.held_up or not self._ledger.settled()

    def adopt(self) -> list[TrialHandle]:
        """Trials that an earlier driver left running, to go on with the same number and parameters.

        One that was to be stopped when that driver died, or has no budget left, is stopped now and not among them.
        """
        with self._lock:
            for number in filter(self.should_stop, self._orphans):
                self.give_up(number)
            found = [self._views[number] for number in self._orphans]
            return [TrialHandle.of(view) for view in found if view.state == "running"]

    def report(
        self, number: int, epoch: int, fitness: float, violations: Sequence[float] = (), others: Sequence[float] = ()
    ) -> None:
        """Adds an epoch, counted from 1, to a trial: fitness, how far it violates each constraint, other objectives.

        Ignored for an epoch that is there already, and for a trial that no longer `trains`. A fitness or another
        objective that is not finite fails the trial.
        """
        with self._lock:
            if not self.trains(number) or epoch in self._views[number].values:
                return
            if (wrong := not_finite(self.space.objectives, fitness, others)) is not None:
                self.finish(number, "failed", f"{wrong} at epoch {epoch}")
                return
            self._ledger.report(number, epoch, fitness, epoch_note(violations, others))
            self._meter.reported(number)
            self._refresh(number)
            if self._planner.decider.alone(number, epoch, self._views):
                self.note(number, alone=epoch)
            self.tell_held()

    def trains(self, number: int) -> bool:
        """Whether what a trial reports still counts: not once it has ended or paused, or its failure is held back."""
        return self._first_failures.counted(self._views)[number].state == "running"

    def should_stop(self, number: int) -> bool:
        """Whether a running trial is given up at its last epoch: by the early stopping rule, or for want of budget."""
        views, left = self._first_failures.counted(self._views), self._meter.left
        return self.trains(number) and (self._falls_behind(number) or self._planner.cuts(number, views, left))

    def give_up(self, number: int) -> None:
        """Ends a running trial as pruned; pauses it if that is the rule, or if its budget is all that it lacks.

        Ignored as by `finish`.
        """
        with self._lock:
            if self.closing or not self.trains(number):
                return
            behind, epoch = self._falls_behind(number), self._views[number].last_epoch
            if behind and not self._planner.decider.pauses:
                self.finish(number, "pruned")
                return
            if not behind:
                self._ledger.note(number, CUT, epoch)
            self._ledger.note(number, PAUSED, epoch)
            self._meter.paused(number)
            self._refresh(number)

    @property
    def waits(self) -> bool:
        """Whether trials may begin or go on later, though none does now."""
        return self._planner.waits(self._views)

    def finish(self, number: int, state: Ending, reason: str | None = None, violations: Sequence[float] = ()) -> None:
        """Ends a trial: its values are those of its best epoch, a failed one has none but its reason and its curve.

        One that is pruned before its first epoch, since its architecture violates something, has a reason.
        Ignored for a trial that no longer `trains`, and while the study is closing. A complete trial without a single
        validated epoch has failed. Failures that look like those of a broken set-up are held back (`broken`).
        """
        with self._lock:
            if self.closing or not self.trains(number):
                return
            if state == "complete" and self._views[number].best_fitness is None:
                state, reason = "failed", reason or "no epoch was validated"
            if state != "failed":
                self._end(number, state, reason, violations)
                self._first_failures.excluded(reason or "unknown", violations, self.space, self._views)
            elif not self._first_failures.hold(number, reason or "unknown"):
                self.tell_held()
                self._end(number, "failed", reason or "unknown")
            self.closing = keep_broken(self._ledger, self.broken)

    @property
    def broken(self) -> str | None:
        """Why all trials that this driver started fail or are ruled out (see `FirstFailures`); None if they do not.

        The study then closes by itself. Failed trials go on at the next start; those that are ruled out have ended.
        """
        return self._first_failures.broken

    def tell_held(self) -> None:
        """Fails the trials whose failures were held back: it is by their own fault."""
        with self._lock:
            keep_broken(self._ledger, None)
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
        return self._meter.epochs

    @property
    def seconds(self) -> float:
        """Seconds that drivers have spent on this study. One that was killed counts up to its last finished trial,
        or, if they are bounded, to its last report but for a minute."""
        return self._meter.seconds

    def standing(self) -> Standing:
        """How it stands to its budget now."""
        return self._planner.standing(self.snapshot(), self._meter.taken, self._enough)

    def _falls_behind(self, number: int) -> bool:
        return self._planner.falls_behind(number, self._views, self._meter.left, self._enough)

    def _next(self) -> int | None:
        views, decider = self._first_failures.counted(self._views), self._planner.decider
        if self.broken is not None or not self.turning.turned(decider, views, self._ledger, self._refresh):
            return None
        left, planned = self._meter.left, self._first_failures.counted(self._views)
        if (paused := self._planner.goes_on(planned, left, self._enough)) is not None:
            self._ledger.note(paused, PROMOTED, self._views[paused].last_epoch)
            self._refresh(paused)
            return paused
        if self._enough is None and self._planner.begins(planned, left):
            gain = self._expected(self._planner.further_trials(planned, left))
            return self._begin(gain) if self._enough is None else self._next()
        if self._planner.ends_paused(self._views, self._enough):
            for view in [view for view in self._views if view.state == "paused" and not view.cut]:
                self._end(view.number, "pruned")
        return None

    def _expected(self, trials: int) -> float | None:
        """What so many further trials are expected to gain, if that is asked for; with too little the study ends."""
        gain, self._enough = expected(self.space, self._views, trials)
        if self._enough is not None:
            self._ledger.set_attr(ENOUGH, self._enough.plain())
            self.tell(f"no more trials are begun: {self._enough}")
        return gain

    def _begin(self, gain: float | None) -> int:
        number = self._drafter.draft(self._ledger, self._views)
        if gain is not None:
            self._ledger.note(number, GAIN, gain)
        self._views.append(view_of(self._ledger.trial(number)))
        return number

    def _end(self, number: int, state: Ending, reason: str | None = None, violations: Sequence[float] = ()) -> None:
        self._meter.ended(number)
        view = self._views[number]
        values = () if state == "failed" else view.objectives
        self._ledger.finish(number, ENDINGS[state], values, reason, violations or view.violated)
        self._refresh(number)

    def _refresh(self, number: int) -> None:
        self._views[number] = view_of(self._ledger.trial(number))

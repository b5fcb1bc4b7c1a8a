"""A budget of hours: nobody knows at first what they are good for, and starting a trial takes some."""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raytrainer.config.space import Budget, Space
from raytrainer.results.outlook import outlook
from raytrainer.search.budget import Left
from raytrainer.search.meter import Hours, NoHours
from raytrainer.search.promises import too_many
from raytrainer.search.rungs import full_length
from raytrainer.search.study import Study
from raytrainer.search.views import State, TrialView
from search.studies import PLAIN, fitness, space

PRUNERS = ["asha", "none", "asha-promote", "median"]


def asked(full: int, pruner: str = "none", trials: int | None = None, **budget: float) -> Space:
    bounded = space(PLAIN, trials=trials, pruner=pruner, sampler="random", budget=Budget(**budget))
    return bounded.model_copy(update={"train": {"epochs": full, "warmup_epochs": 0}})


class Days:
    """Drives studies, each trial on a GPU of its own: hours to start one, and of its epochs by number and epoch."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, start: float, epoch: Callable[[int, int], float] = lambda *_: 1.0
    ) -> None:
        self.now, self.start, self.held, self.epoch = 0.0, start, dict[int, float](), epoch
        monkeypatch.setattr(time, "monotonic", lambda: 3600 * self.now)

    def hours(self, number: int) -> Hours:
        held = self.held.get(number, 0.0)
        return NoHours(4 * held, held, 3600 * held)

    def work(self, study: Study, places: int, reports: float = float("inf")) -> list[TrialView]:
        """With so many places, until nothing is left to do or so many epochs are reported."""
        at_work: list[tuple[float, int, float]] = []
        started = [handle.number for handle in study.adopt()]
        while True:
            while len(at_work) + len(started) < places and (handle := study.ask()):
                started.append(handle.number)
            for number in started:
                takes = self.start + self.epoch(number, study.snapshot()[number].last_epoch + 1)
                heapq.heappush(at_work, (self.now + takes, number, takes))
            started.clear()
            if not at_work or reports <= 0:
                return study.snapshot()
            reports -= 1
            self.now, number, took = heapq.heappop(at_work)
            self.held[number] = self.held.get(number, 0.0) + took
            if self.reported(study, number):
                takes = self.epoch(number, study.snapshot()[number].last_epoch + 1)
                heapq.heappush(at_work, (self.now + takes, number, takes))

    def reported(self, study: Study, number: int) -> bool:
        """Whether it goes on after one more epoch."""
        view, full = study.snapshot()[number], full_length(study.space)
        epoch = view.last_epoch + 1
        study.report(number, epoch, fitness(view.params, epoch))
        if study.should_stop(number):
            study.give_up(number)
        elif epoch == full:
            study.finish(number, "complete")
        return study.snapshot()[number].state == "running"


@pytest.mark.parametrize("places", [1, 3, 8])
@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize(
    ("epochs", "start", "bound"), [(30, 1 / 6, 100), (30, 1 / 6, 31), (6, 20, 27), (6, 20, 60), (6, 0, 6)]
)
def test_it_begins_no_trial_that_it_cannot_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: int, pruner: str, epochs: int, start: float, bound: float
) -> None:
    days = Days(monkeypatch, start)
    with Study.open(tmp_path, asked(epochs, pruner, gpu_hours=bound), hours=days.hours) as study:
        trials, standing = days.work(study, places), study.standing()
    assert standing.over
    assert standing.taken.gpu_hours <= bound + 1e-6
    assert not [view for view in trials if view.cut], "the cost never changes"
    assert trials[0].state == "complete"
    least = bound // (start + epochs)
    assert sum(view.state == "complete" for view in trials) == least or pruner != "none"


def test_until_one_has_told_what_it_takes_no_other_begins(tmp_path: Path) -> None:
    """But for time, of which another takes nothing."""
    for budget, begun in [
        ({"gpu_hours": 9}, 1),
        ({"cpu_hours": 9, "wall": 9}, 1),
        ({"wall": 9}, 2),
        ({"epochs": 99}, 2),
    ]:
        with Study.open(tmp_path / "-".join(budget), asked(6, **budget)) as study:
            assert [study.ask() is not None for _ in range(2)] == [True, begun == 2]
            assert study.waits
            study.finish(0, "failed", "no such thing")
            assert study.ask(), "nobody else runs"


@pytest.mark.parametrize("pruner", ["asha", "median", "none"])
@pytest.mark.parametrize("start", [0, 0.5, 2.5, 5])
def test_the_advice_buys_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pruner: str, start: float
) -> None:
    """As many trials more, or where it says so by how long those were that were stopped, one at least."""
    days, bound, promised = Days(monkeypatch, start), 20.0, 1
    for _ in range(3):
        asking = asked(9, pruner, gpu_hours=bound)
        with Study.open(tmp_path, asking, hours=days.hours) as study:
            trials, standing = days.work(study, 1), study.standing()
        assert not [view for view in trials if view.cut]
        assert len([view for view in trials if view.state == "complete" or pruner != "none"]) >= promised
        advice = list(outlook(asking, trials, standing, lambda flags: flags[1]))[-1]
        (more,) = re.findall(r"would begin about (\d+) trial", advice)
        bound, promised = float(advice.rsplit("=", 1)[1]), len(trials) + (int(more) if pruner == "none" else 1)


def test_the_advice_for_what_was_cut_has_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial is cut an epoch before its end since one epoch took far longer; to go on it starts again."""
    days = Days(monkeypatch, 5)
    with Study.open(tmp_path, asked(9, trials=1, gpu_hours=14), hours=days.hours) as study:
        days.work(study, 1, 7)
        days.held[0] += 2
        study.closing = True
    days.start = 0
    with Study.open(tmp_path, asked(9, trials=1, gpu_hours=14), hours=days.hours) as study:
        cut, standing = days.work(study, 1), study.standing()
    assert [(view.state, view.cut) for view in cut] == [("paused", True)]
    lines = list(outlook(study.space, cut, standing, lambda flags: flags[1]))
    days.start = 3
    bound = float(lines[-1].rsplit("=", 1)[1])
    with Study.open(tmp_path, asked(9, trials=1, gpu_hours=bound), hours=days.hours) as study:
        assert days.work(study, 1)[0].state == "complete"


def test_who_runs_when_less_is_left_is_taken_to_the_end_or_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight run; then the hours are for three of them. With more, those that are paused go on."""
    days, seen = Days(monkeypatch, 0.5), []
    for bound, reports in [(300, 26.0), (90, 1e9), (90, 1e9), (300, 1e9)]:
        with Study.open(tmp_path, asked(20, trials=8, gpu_hours=bound), hours=days.hours) as study:
            trials = days.work(study, 8, reports)
            seen.append([view.state for view in trials])
            study.closing = True
    running, ended, again, raised = seen
    assert running == ["running"] * 8
    assert ended.count("complete") == 3
    assert again == ended
    assert raised == ["complete"] * 8


@pytest.mark.parametrize("slow", [(0, 2), (1, 2), (1, 3), (3, 5)])
def test_one_slow_epoch_pauses_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: tuple[int, int]) -> None:
    days = Days(monkeypatch, 0.5, lambda number, epoch: 5.0 if (number, epoch) == slow else 1.0)
    with Study.open(tmp_path, asked(6, trials=4, gpu_hours=33), hours=days.hours) as study:
        trials = days.work(study, 4)
    assert [view.state for view in trials] == ["complete"] * 4
    assert not [view for view in trials if "paused" in view.notes]


def test_another_driver_knows_what_a_start_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days, asking = Days(monkeypatch, 2.5), asked(9, "asha-promote", gpu_hours=99)
    with Study.open(tmp_path, asking, hours=days.hours) as study:
        days.work(study, 3, 20)
        taken = study.standing().taken
        left = Left.of(asking.search.budget, taken)
        study.closing = True
    assert taken.start / 3600 == pytest.approx(2.5)
    assert (left.start, left.together) == (pytest.approx(2.5), pytest.approx(99 - taken.gpu_hours))
    with Study.open(tmp_path, asking, hours=days.hours) as study:
        assert study.standing().taken == taken


def test_a_start_takes_nothing_of_a_budget_of_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = Days(monkeypatch, 2.5)
    with Study.open(tmp_path, asked(6, epochs=18, gpu_hours=99), hours=days.hours) as study:
        trials = days.work(study, 2)
        assert study.standing().spent == "18 epochs"
    assert [view.state for view in trials] == ["complete"] * 3


@pytest.mark.parametrize(("start", "bound"), [(20, 40), (20, 52)])
def test_one_epoch_says_little_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: float, bound: float
) -> None:
    """Neither that it was mostly a start, which the next one is not, nor, if the trial fails, that there is no room."""
    days = Days(monkeypatch, start)
    with Study.open(tmp_path, asked(6, gpu_hours=bound), hours=days.hours) as study:
        days.work(study, 1, 1)
        if bound > 2 * start + 6:
            study.finish(0, "failed", "no such thing")
        study.closing = True
    with Study.open(tmp_path, asked(6, gpu_hours=bound + start), hours=days.hours) as study:
        assert "complete" in {view.state for view in days.work(study, 1)}


def view(number: int, *curve: float, state: State = "running", went_on: int = 0) -> TrialView:
    notes = {"paused": went_on, "promoted": went_on} if went_on else {}
    values = dict(enumerate(curve, start=1))
    return TrialView(number, state, {}, values, max(curve, default=None), len(curve) or None, notes=notes)


@pytest.mark.parametrize(
    ("left", "views", "paused"),
    [
        (Left(16, measured=99), [view(0, 0.1, 0.1), view(1, 0.2, 0.2)], set()),  # all ten epochs long
        (Left(15, measured=99), [view(0, 0.1, 0.1), view(1, 0.2, 0.2)], {1}),  # never the baseline
        (Left(15, measured=15), [view(0, 0.1, 0.1), view(1, 0.2, 0.2)], set()),  # one of 15 was slow, it may be
        (Left(15, measured=16), [view(0, 0.1, 0.1), view(1, 0.2, 0.2)], {1}),
        (Left(15, measured=0), [view(0, 0.1, 0.1), view(1, 0.2, 0.2)], set()),  # nobody knows
        (Left(epochs=1), [view(0, 0.1, 0.1), view(1, 0.2, 0.2)], set()),  # of epochs no more is ever promised
        (Left(3, measured=99), [view(1, 0.1, 0.1)], set()),
        (Left(8.5, measured=3), [view(0, 0.1, 0.1), view(1, 0.2, 0.2)], {1}),  # the next one would take it from 0
        (Left(16, measured=99), [view(0, 0.1, 0.1), view(1, 0.2, 0.2), view(2, 0.3, 0.1)], {1}),
        (Left(16, measured=99), [view(1, 0.2, 0.2), view(2, 0.2, 0.2), view(3, 0.2, 0.2)], {3}),
        (Left(25, measured=99), [view(1, 0.2, 0.2), view(2, 0.2, 0.2), view(3, 0.2, 0.2), view(4, 0.3)], {3}),
        (Left(21, measured=99), [view(1, 0.2, 0.2), view(2, 0.4, 0.2), view(3, 0.3, 0.5), view(4)], {1, 4}),
        # the third is best, and where all have been the second is ahead
        (Left(16, measured=99), [view(1, 0.2, 0.2), view(2, 0.2, 0.3), view(3, *[0.1] * 4, 0.5)], {1}),
        (Left(11, measured=99), [view(0, 0.1, 0.1), view(1, 0.2, 0.2), view(2, *[0.1] * 8)], {1}),  # 2 is all but done
        (Left(18.5, start=3, measured=99), [view(0, 0.1, 0.1), view(1)], {1}),  # it has yet to start
        (Left(20.5, start=3, measured=99), [view(0, 0.1, 0.1), view(1, 0.2, 0.2, went_on=2)], set()),
        (Left(18.5, start=3, measured=99), [view(0, 0.1, 0.1), view(1, 0.2, 0.2, went_on=2)], {1}),
        (Left(8, measured=99), [view(0, 0.1, 0.1), view(1, 0.2, state="paused"), view(2, state="failed")], set()),
    ],
)  # fmt: skip
def test_who_is_paused_when_too_many_run(left: Left, views: list[TrialView], paused: set[int]) -> None:
    filled = {each.number: each for each in views}
    shown = [filled.get(number, view(number, state="failed")) for number in range(max(filled) + 1)]
    assert too_many(views[-1].number, shown, 10, left) == paused

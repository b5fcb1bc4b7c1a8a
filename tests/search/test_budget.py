"""A budget: what is begun for it, where it ends, what it cuts, and what goes on when it is raised."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from raytrainer.config.space import Budget, Failures, Space
from raytrainer.results.outlook import epochs_more, larger, outlook
from raytrainer.search.budget import Left, Taken
from raytrainer.search.meter import Hours, NoHours, unknown
from raytrainer.search.planning import Planner
from raytrainer.search.replay import replay
from raytrainer.search.study import Study
from search.studies import EPOCHS, MIXED, Crew, fitness, space, train


def bounded(trials: int | None = None, pruner: str = "asha", **budget: float) -> Space:
    return space(MIXED, trials=trials, pruner=pruner, sampler="random", budget=Budget(**budget))


@pytest.mark.parametrize("workers", [1, 3, 8])
@pytest.mark.parametrize("pruner", ["none", "asha", "asha-promote"])
@pytest.mark.parametrize("epochs", [EPOCHS, 20, 61])
def test_it_is_never_overrun_and_buys_whole_trials(tmp_path: Path, workers: int, pruner: str, epochs: int) -> None:
    with Study.open(tmp_path, bounded(pruner=pruner, epochs=epochs)) as study:
        trials = Crew(study, workers).work()
        standing = study.standing()
        assert study.ask() is None
    assert standing.over
    assert epochs - EPOCHS < study.epochs <= epochs, "less is left than a trial takes"
    assert {view.state for view in trials} <= {"complete", "pruned", "paused"}
    assert sum(view.state == "complete" for view in trials) == epochs // EPOCHS or pruner != "none"
    assert any(view.state == "complete" for view in trials)
    exact = epochs == study.epochs
    assert standing.spent == (f"{epochs} epochs" if exact else f"{study.epochs} of {epochs} epochs")


def test_a_larger_one_goes_on_as_if_it_had_been_so_large(tmp_path: Path) -> None:
    for epochs in (20, 47):
        with Study.open(tmp_path / "raised", bounded(epochs=epochs)) as study:
            raised = Crew(study, 1).work()
    with Study.open(tmp_path / "whole", bounded(epochs=47)) as study:
        whole = Crew(study, 1).work()
    assert [(view.params, view.values) for view in raised] == [(view.params, view.values) for view in whole]


@pytest.mark.parametrize(("trials", "begun"), [(2, 2), (None, 5), (9, 5)])
def test_trials_and_a_budget_bound_together(tmp_path: Path, trials: int | None, begun: int) -> None:
    with Study.open(tmp_path, bounded(trials, "none", epochs=5 * EPOCHS)) as study:
        assert len(Crew(study, 2).work()) == begun
        assert study.standing().over
        assert (study.standing().spent is None) == (trials == 2), "more epochs would not help two trials"


def test_what_is_cut_is_paused_and_goes_on_from_where_it_was(tmp_path: Path) -> None:
    with Study.open(tmp_path, bounded(pruner="none", epochs=90)) as study:
        crew = Crew(study, 3)
        for _ in range(EPOCHS + 2):
            crew.turn()
        study.closing = True
    with Study.open(tmp_path, bounded(pruner="none", epochs=24)) as study:
        assert study.adopt() == [], "three have done two epochs each of the next round"
        views, standing = study.snapshot(), study.standing()
        assert [view.state for view in views] == ["complete"] * 3 + ["paused"] * 3
        assert all(view.cut and view.last_epoch == 2 for view in views[3:])
        assert (study.ask(), standing.over, standing.spent) == (None, True, "24 epochs")
        best = study.best()
        assert best
        assert best.state == "complete"
    with Study.open(tmp_path, bounded(pruner="none", epochs=28)) as study:
        trials = Crew(study, 2).work()
        best = max(trials[3:], key=lambda view: max(view.values[1], view.values[2]))
        assert {view.number for view in trials if view.state == "complete"} == {0, 1, 2, best.number}
        assert study.standing().spent == "28 epochs"
    with Study.open(tmp_path, bounded(8, "none")) as study:
        trials = Crew(study, 3).work()
        assert {view.state for view in trials} == {"complete"}
        assert all(view.values == {e: fitness(view.params, e) for e in range(1, EPOCHS + 1)} for view in trials)
    assert all(one.agrees for one in replay(study.space, trials) if one.again is not None)


def test_a_failure_that_is_held_back_takes_no_budget(tmp_path: Path) -> None:
    asked = bounded(epochs=EPOCHS).model_copy(update={"failures": Failures(same_error=3)})
    for workers in (1, 2):
        with Study.open(tmp_path / f"{workers}", asked) as study:
            assert study.ask()
            study.finish(0, "failed", "no such thing")
            trials = Crew(study, workers).work()
            assert [view.state for view in trials] == ["failed", "complete"]
            assert study.standing().spent == f"{EPOCHS} epochs"


def test_a_set_up_that_is_broken_is_told_before_the_budget_ends(tmp_path: Path) -> None:
    asked = bounded(epochs=EPOCHS).model_copy(update={"failures": Failures(same_error=3)})
    with Study.open(tmp_path, asked) as study:
        while handle := study.ask():
            study.finish(handle.number, "failed", "no such thing")
        assert (study.broken, [view.state for view in study.snapshot()]) == ("no such thing", ["running"] * 3)


class Clock:
    """An epoch takes an hour of two GPUs, and three after so many epochs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dear_after: float = math.inf) -> None:
        self.now, self.dear_after, self.of = 0.0, dear_after, dict[int, float]()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def epoch(self, number: int) -> None:
        self.of[number] = self.of.get(number, 0.0) + (3 if sum(self.of.values()) >= self.dear_after else 1)

    def hours(self, number: int) -> Hours:
        held = self.of.get(number, 0.0)
        return NoHours(8 * held, 2 * held, 3600 * held)


@pytest.mark.parametrize(("kind", "rate"), [("gpu_hours", 2), ("cpu_hours", 8)])
@pytest.mark.parametrize("dear_after", [math.inf, 40.0])
def test_hours_are_bounded_to_an_epoch(
    tmp_path: Path, kind: str, rate: float, dear_after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, dear_after)
    with Study.open(tmp_path, bounded(pruner="none", **{kind: 60 * rate}), hours=clock.hours) as study:
        trials = Crew(study, 3, clock.epoch).work()
        taken = getattr(study.standing().taken, kind)
        assert study.standing().over
    if dear_after == math.inf:
        assert (taken, {view.state for view in trials}) == (60 * rate, {"complete"})
    else:
        assert abs(taken - 60 * rate) <= 3 * 3 * rate, "an epoch of each worker"
        assert any(view.cut for view in trials), "nobody knew that it would become dearer"


def test_time_counts_over_drivers_and_is_not_overrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = Clock(monkeypatch), bounded(pruner="none", wall=20.0)
    opened: Any = {"hours": clock.hours}
    with Study.open(tmp_path, asked, **opened) as study:
        crew = Crew(study, 3, clock.epoch)
        for _ in range(4):
            crew.turn()
            clock.now += 3600
        study.closing = True
    clock.now += 1e6
    with Study.open(tmp_path, asked, **opened) as study:
        assert study.seconds == 4 * 3600
        crew = Crew(study, 3, clock.epoch)
        while crew.turn():
            clock.now += 3600
        assert {view.state for view in study.snapshot()} == {"complete"}
        assert len(study.snapshot()) == 9, "three rounds of six hours, and no fourth"
        assert (study.standing().over, study.standing().spent) == (True, "18 of 20 hours")


@pytest.mark.parametrize("ending", ["failed", "pruned", "paused"])
def test_hours_after_the_last_report_count_at_once(
    tmp_path: Path, ending: Literal["failed", "pruned", "paused"], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    with Study.open(tmp_path, bounded(gpu_hours=99), hours=clock.hours) as study:
        assert study.ask()
        study.report(0, 1, 0.1)
        clock.epoch(0)
        assert study.standing().taken.gpu_hours == 0, "nobody has asked for them"
        if ending == "paused":
            study.give_up(0)
        else:
            study.finish(0, ending, "no such thing")
        assert study.snapshot()[0].state == ending
        assert study.standing().taken.gpu_hours == 2


def test_time_is_written_down_while_trials_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = Clock(monkeypatch), bounded(pruner="none", wall=20.0)
    with Study.open(tmp_path / "killed", asked) as study:
        assert study.ask()
        for epoch in range(1, 4):
            clock.now += 45
            study.report(0, epoch, 0.1)
        assert study.ask(), "all is on disk"
        shutil.copytree(tmp_path / "killed", tmp_path / "as it was")
    with Study.open(tmp_path / "as it was", asked) as study:
        assert study.seconds == 90, "of 135, at the second report, but for a minute"


@pytest.mark.parametrize(
    ("budget", "taken", "left"),
    [
        ({}, Taken(), Left()),
        ({"epochs": 30}, Taken(), Left(epochs=30)),
        ({"epochs": 30}, Taken(40), Left(epochs=0)),
        ({"gpu_hours": 3}, Taken(), Left()),  # nothing is known of what an epoch takes
        ({"gpu_hours": 3}, Taken(0, gpu_hours=1), Left()),
        ({"gpu_hours": 3}, Taken(10, gpu_hours=1), Left(together=20)),
        ({"gpu_hours": 3}, Taken(0, gpu_hours=3), Left(together=0)),
        ({"gpu_hours": 3, "cpu_hours": 16, "epochs": 50}, Taken(10, 1, 1, 8), Left(together=10, epochs=40)),
        ({"wall": 3}, Taken(40, wall=1, held=4 * 3600), Left(each=20, clock=80)),
        ({"wall": 3}, Taken(40, wall=1), Left(each=80, clock=80)),
        ({"wall": 3}, Taken(40, wall=4, held=9), Left(each=0, clock=0)),
        # of ten hours two starts took six, and eight epochs four
        ({"gpu_hours": 32}, Taken(8, gpu_hours=20, held=36000, starts=2, starting=21600),
         Left(together=12, start=6, measured=6)),
        ({"wall": 8}, Taken(8, wall=5, held=36000, starts=2, starting=21600),
         Left(each=6, clock=12, start=6, measured=6)),
    ],
)  # fmt: skip
def test_what_is_left(budget: dict[str, float], taken: Taken, left: Left) -> None:
    assert Left.of(Budget(**budget), taken) == left


def test_without_hours_there_are_none() -> None:
    assert (unknown(3).gpu_hours, unknown(3).cpu_hours, unknown(3).held) == (0, 0, 0)


@pytest.mark.parametrize("ended", ["failed", "pruned"])
def test_trials_that_take_no_epochs_come_to_an_end(tmp_path: Path, ended: Literal["failed", "pruned"]) -> None:
    for epochs, begun in [(2 * EPOCHS, 1 + EPOCHS + 1), (3 * EPOCHS, 1 + 2 * EPOCHS + 1)]:
        asked = bounded(pruner="none", epochs=epochs)
        with Study.open(tmp_path, asked) as study:
            while (handle := study.ask()) and handle.number < 100:
                if handle.number == 0:
                    train(study, handle)
                study.finish(handle.number, ended, "no such thing")
            views, standing = study.snapshot(), study.standing()
        assert len(views) == begun, "one more than epochs are left"
        assert (standing.over, standing.to_come) == (True, 0)
        assert standing.spent == f"6 of {epochs} epochs and {begun - 1} trials without an epoch"
        first, _ = outlook(asked, views, standing, " ".join)
        assert first == f"{standing.spent} are spent"
        raised = larger(asked, epochs_more(asked, views, standing), standing)
        more = asked.search.model_copy(update={"budget": Budget(**raised)})
        assert Planner.of(asked.model_copy(update={"search": more})).standing(views, standing.taken).to_come >= 1


def test_a_few_that_fail_take_nothing_from_the_others(tmp_path: Path) -> None:
    with Study.open(tmp_path, bounded(pruner="none", epochs=3 * EPOCHS)) as study:
        while handle := study.ask():
            if handle.number in (1, 2, 4):
                study.finish(handle.number, "failed", "no such thing")
            else:
                train(study, handle)
        assert [view.number for view in study.snapshot() if view.state == "complete"] == [0, 3, 5]

"""Halving that pauses: who goes on, what restarted drivers make of paused trials, and dips that the baseline shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.search.enough import PATIENCE
from raytrainer.search.rungs import settled
from raytrainer.search.samplers import suggester_of
from raytrainer.search.stopping import Asha, Promotion
from raytrainer.search.study import Study
from raytrainer.search.views import TrialView
from search.studies import EPOCHS, MIXED, Crew, essence, run, space, train

RULE = Promotion(rungs=(2, 6), reduction_factor=3)


def views(*curves: str) -> list[TrialView]:
    """Trials by number, each a curve of digits, in tenths. 'p11' is paused, 'g11' went on from the second epoch."""
    found = []
    for number, curve in enumerate(curves):
        values = {epoch: int(digit) / 10 for epoch, digit in enumerate(curve.lstrip("pg"), start=1)}
        notes = {"promoted": 2} if curve.startswith("g") else {}
        found.append(TrialView(number, "paused" if curve.startswith("p") else "running", {}, values, notes=notes))
    return found


@pytest.mark.parametrize(
    ("curves", "number", "pauses"),
    [
        (["99", "1"], 1, False),  # below the rung
        (["11", "99"], 1, True),  # two on the rung: no third of them goes on
        (["11", "p22", "99"], 2, False),  # the best of three goes on where it is
        (["11", "p99", "22"], 2, True),
        (["99", "p22", "88"], 2, True),  # the baseline is one of the best
        (["11", "p99", "g88", "88", "77", "66"], 5, True),
        (["11", "22", "g991"], 2, False),  # it has gone on from this rung before
        (["11", "22", "g99"], 2, False),  # also before its next report, as when its epochs are replayed
        (["99", "p88", "88", "222"], 3, False),  # it was among the best when it came to the rung
        (["99", "11"], 0, False),  # the baseline is never paused
        (["111111", "g222222", "g333333"], 2, False),  # the next rung: the best of three
        (["111111", "g222222", "g333333"], 1, True),
    ],
)
def test_who_pauses(curves: list[str], number: int, pauses: bool) -> None:
    shown = views(*curves)
    assert RULE.decide(number, shown[number].last_epoch, shown) is pauses


@pytest.mark.parametrize(
    ("curves", "number"),
    [
        (["11", "22", "33"], None),  # nobody is paused
        (["11", "p22", "1"], None),  # two on the rung
        (["11", "p22", "p33"], 2),
        (["99", "p22", "p33"], None),
        (["99", "p22", "p33", "11", "00", "00"], 2),
        (["99", "p22", "g333", "11", "00", "00"], None),  # two best of six, and both have gone on
        (["111111", "p222222", "p333333", "p44"], 2),  # the highest rung first
    ],
)
def test_who_goes_on(curves: list[str], number: int | None) -> None:
    assert RULE.promote(views(*curves)) == number


def promoting(**search: object) -> object:
    return space(MIXED, trials=14, pruner="asha-promote", **search)


def test_paused_trials_go_on_from_where_they_were_and_all_end(tmp_path: Path) -> None:
    trials = run(tmp_path, promoting())  # type: ignore[arg-type]
    assert len(trials) == 14
    assert {view.state for view in trials} == {"complete", "pruned"}
    gone_on = [view for view in trials if view.promoted]
    assert gone_on
    for view in gone_on:
        assert sorted(view.values) == list(range(1, view.last_epoch + 1))
        assert view.last_epoch > view.promoted
    assert {view.last_epoch for view in trials} == {2, 5, EPOCHS}, "the baseline dips at the fourth"


def test_a_study_whose_driver_is_killed_after_every_turn_becomes_the_same(tmp_path: Path) -> None:
    whole = essence(run(tmp_path / "whole", promoting()))  # type: ignore[arg-type]
    paused = 0
    while True:
        with Study.open(tmp_path / "broken", promoting()) as study:  # type: ignore[arg-type]
            assert study.adopt() == [], "a paused trial is none that a driver left running"
            paused = max(paused, sum(view.state == "paused" for view in study.snapshot()))
            trial = study.ask()
            if trial is None:
                break
            train(study, trial)
    assert paused > 2
    assert essence(study.snapshot()) == whole


@pytest.mark.parametrize("workers", [1, 6, 8])
def test_those_that_have_begun_go_on_when_enough_is_found(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytrainer.search.expectation.gain_of", lambda _, views, __: 0.0 if len(views) >= 12 else 1.0)
    kind = {"pruner": "asha-promote", "sampler": "random"}
    with Study.open(tmp_path / "few", space(MIXED, trials=12 + PATIENCE, **kind)) as study:
        few = Crew(study, workers).work()
    with Study.open(tmp_path / "enough", space(MIXED, trials=40, min_gain=0.1, **kind)) as study:
        assert essence(Crew(study, workers).work()) == essence(few)
        assert study.standing().enough
        assert (study.standing().over, study.waits) == (True, False)
    assert {view.state for view in few} == {"complete", "pruned"}


@pytest.mark.parametrize(("pruner", "waits"), [("asha-promote", True), ("asha", False), ("none", False)])
def test_the_last_that_run_are_waited_for_if_they_may_pause(tmp_path: Path, pruner: str, waits: bool) -> None:
    with Study.open(tmp_path, space(MIXED, trials=2, pruner=pruner)) as study:
        assert study.ask()
        assert study.ask()
        assert study.ask() is None
        assert study.waits is waits


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_samplers_see_paused_trials_as_complete(tmp_path: Path, sampler: str) -> None:
    """TPE with what they had at a rung; others, which learn from complete trials alone, with all that they had."""
    with Study.open(tmp_path, promoting(sampler=sampler)) as study:  # type: ignore[arg-type]
        while not study.waits:
            trial = study.ask()
            assert trial
            train(study, trial)
        suggester = suggester_of(study.space)
        shown = suggester.shown(study._ledger.trials())
    assert shown is not None
    assert {trial.state.name for trial in shown} == {"COMPLETE"}


@pytest.mark.parametrize(
    ("curve", "places"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], {2: 2, 6: 6}),
        ([8, 0, 0, 6, 16, 18], {2: 4, 6: 6}),  # back near its best by the fourth epoch
        ([8, 0, 0, 0, 0, 0, 8], {6: 7}),  # not before the next rung: that one alone
        ([8, 0], {2: 3, 6: 6}),  # it has not come further yet
        ([8, 7, 8, 9, 8, 9], {2: 3, 6: 6}),
        ([5, 5, 5], {2: 2, 6: 6}),
        ([], {2: 2, 6: 6}),
    ],
)
def test_a_rung_waits_for_the_baseline_to_recover(curve: list[int], places: dict[int, int]) -> None:
    baseline = TrialView(0, "running", {}, {epoch: value / 100 for epoch, value in enumerate(curve, start=1)})
    assert settled((2, 6), baseline) == places


def test_a_dip_that_the_baseline_shows_too_is_forgiven() -> None:
    rule = Asha((2, 6), 3)
    dipped, rivals = views("800899", "99", "99"), views("888899", "99", "99")
    trial = views("", "", "", "11")[3]
    assert not rule.decide(3, 2, [*dipped, trial])
    assert rule.decide(3, 2, [*rivals, trial])
    risen = views("", "", "", "1115")[3]
    assert rule.decide(3, 4, [*dipped, risen]), "it is judged when the baseline has recovered"
    assert not rule.decide(3, 4, [*views("800899", "99", "99"), views("", "", "", "1199")[3]])

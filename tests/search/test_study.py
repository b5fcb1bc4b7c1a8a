"""The study: what is told of trials, and what is kept when drivers come and go."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from raytrainer.config.space import Categorical, Float, Integer
from raytrainer.search.reading import read_views
from raytrainer.search.study import Study
from search.studies import drive, essence, fitness, run, space, train


def on_disk(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """The trials as plain Optuna reads them."""
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return storage.get_all_trials(storage.get_all_studies()[0]._study_id)


@pytest.fixture
def study(tmp_path: Path) -> Any:
    with Study.open(tmp_path, space(trials=4)) as opened:
        yield opened


def test_trial_0_has_the_defaults(study: Study) -> None:
    trial = study.ask()
    assert trial
    assert trial.number == 0
    assert trial.params == {
        "lr0": 0.01, "box": 7.5, "batch": 8, "warmup_epochs": 0, "optimizer": "AdamW", "cos_lr": False, "freeze": None,
    }  # fmt: skip
    baseline = study.baseline()
    assert baseline
    assert baseline.notes == {"source": "defaults"}


def test_there_is_nothing_before_the_first_trial(study: Study) -> None:
    assert (study.snapshot(), study.best(), study.baseline(), study.adopt()) == ([], None, None, [])


@pytest.mark.parametrize(
    ("curve", "ending", "state", "value", "best_epoch"),
    [
        ([0.1, 0.5, 0.3], "complete", TrialState.COMPLETE, 0.5, 2),
        ([0.1, 0.5, 0.3], "pruned", TrialState.PRUNED, 0.5, 2),
        ([0.5, 0.5], "pruned", TrialState.PRUNED, 0.5, 2),
        ([-0.3, -0.1], "complete", TrialState.COMPLETE, -0.1, 2),
        ([0.0], "complete", TrialState.COMPLETE, 0.0, 1),
        ([0.1, 0.5], "failed", TrialState.FAIL, None, 2),
        ([], "failed", TrialState.FAIL, None, None),
        ([], "complete", TrialState.FAIL, None, None),
        ([], "pruned", TrialState.PRUNED, None, None),
    ],
)
def test_the_value_of_a_trial_is_its_best(
    tmp_path: Path, curve: list[float], ending: Any, state: TrialState, value: float | None, best_epoch: int | None
) -> None:
    with Study.open(tmp_path, space()) as study:
        study.ask()
        for epoch, fitness in enumerate(curve, start=1):
            study.report(0, epoch, fitness)
        study.finish(0, ending, "because" if ending == "failed" else None)
        view = study.snapshot()[0]
    (trial,) = on_disk(tmp_path)
    assert (trial.state, trial.value) == (state, value)
    assert trial.intermediate_values == dict(enumerate(curve, start=1))
    assert view.best_epoch == best_epoch
    assert view.best_fitness == (max(curve) if curve else None)
    assert (view.reason is None) == (state != TrialState.FAIL)
    assert view.ended
    assert view.started
    assert view.ended >= view.started


@pytest.mark.parametrize("fitness", [math.nan, math.inf, -math.inf])
def test_a_fitness_that_is_not_finite_fails_the_trial(tmp_path: Path, fitness: float) -> None:
    with Study.open(tmp_path, space()) as study:
        study.ask()
        study.report(0, 1, 0.2)
        study.report(0, 2, fitness)
        study.report(0, 3, 0.9)
        study.finish(0, "complete")
        view = study.snapshot()[0]
    (trial,) = on_disk(tmp_path)
    assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.FAIL, None, {1: 0.2})
    assert view.reason == f"the fitness was {fitness} at epoch 2"


def test_a_report_counts_once(study: Study) -> None:
    study.ask()
    for epoch, value in [(1, 0.1), (2, 0.2), (1, 0.9), (2, 0.8), (4, 0.4), (3, 0.3)]:
        study.report(0, epoch, value)
    assert study.snapshot()[0].values == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}
    assert study.epochs == 4
    study.finish(0, "pruned")
    study.report(0, 5, 0.9)
    study.finish(0, "complete")
    assert (study.snapshot()[0].state, study.epochs) == ("pruned", 4)


def test_best_is_of_full_length_unless_there_is_none(study: Study) -> None:
    for _ in range(4):
        study.ask()
    study.report(1, 1, 0.9)
    study.finish(1, "failed", "out of memory")
    assert study.best() is None
    study.report(2, 1, 0.5)
    best = study.best()
    assert best
    assert best.number == 2
    study.report(3, 1, 0.7)
    study.finish(3, "pruned")
    best = study.best()
    assert best
    assert best.number == 3
    study.report(0, 1, 0.1)
    study.finish(0, "complete")
    best = study.best()
    assert best
    assert best.number == 0


def test_trials_are_as_many_as_were_asked_for(tmp_path: Path) -> None:
    with Study.open(tmp_path, space(trials=3)) as study:
        study.ask()
        study.finish(0, "failed", "out of memory")
        study.ask()
        study.ask()
        assert study.ask() is None
        assert not study.standing().over, "two of them run"
    with Study.open(tmp_path, space(trials=4)) as study:
        assert [trial.number for trial in study.adopt()] == [1, 2]
        trial = study.ask()
        assert trial
        assert trial.number == 3
        assert study.ask() is None


def test_a_reopened_study_is_the_same(tmp_path: Path) -> None:
    views = run(tmp_path, space())
    with Study.open(tmp_path, space()) as study:
        assert study.snapshot() == views
        assert study.ask() is None
        assert study.adopt() == []
    assert read_views(tmp_path) == views
    assert {view.state for view in views} == {"complete", "pruned"}


def test_unfinished_trials_are_adopted_as_they_were(tmp_path: Path) -> None:
    undisturbed = run(tmp_path / "whole", space(pruner="none"))
    with Study.open(tmp_path / "broken", space(pruner="none")) as study:
        first = study.ask()
        assert first
        train(study, first)
        second = study.ask()
        assert second
        study.report(1, 1, fitness(second.params, 1))
        study.closing = True
        study.finish(1, "failed", "its process died")
        study.finish(1, "complete")
    with Study.open(tmp_path / "broken", space(pruner="none")) as study:
        assert study.adopt() == [second]
        drive(study)
        assert essence(study.snapshot()) == essence(undisturbed)


def test_a_stop_that_was_decided_but_not_written_is_made_up_for(tmp_path: Path) -> None:
    with Study.open(tmp_path, space(reduction_factor=2)) as study:
        for number, value in enumerate([0.9, 0.1]):
            study.ask()
            study.report(number, 1, value)
            study.report(number, 2, value)
        assert study.should_stop(1)
    with Study.open(tmp_path, space(reduction_factor=2)) as study:
        assert [trial.number for trial in study.adopt()] == [0]
        assert study.snapshot()[1].state == "pruned"


def test_who_passed_an_empty_rung_is_judged_when_it_has_filled_by_another_driver_too(tmp_path: Path) -> None:
    asked = space(reduction_factor=3, trials=20)
    with Study.open(tmp_path, asked) as study:
        for number in range(9):
            study.ask()
            for epoch in (1, 2) if number == 8 else ():
                study.report(number, epoch, 0.1)
        assert not study.should_stop(8), "alone"
    with Study.open(tmp_path, asked) as study:
        study.adopt()
        for number in range(8):
            study.report(number, 1, 0.9)
            study.report(number, 2, 0.9)
        study.report(8, 3, 0.1)
        assert study.should_stop(8)


def test_notes(tmp_path: Path) -> None:
    with Study.open(tmp_path, space()) as study:
        study.ask()
        study.note(0, batch=4, retried=True)
        assert study.snapshot()[0].notes["batch"] == 4
        study.finish(0, "failed", "out of memory")
        with pytest.raises(ValueError, match="trial 0 is failed"):
            study.note(0, batch=2)
    (view,) = read_views(tmp_path)
    assert view.notes == {"source": "defaults", "batch": 4, "retried": True}
    assert view.reason == "out of memory"


def test_a_reason_is_of_failed_trials_only(tmp_path: Path) -> None:
    """A driver that dies between the reason and the end leaves a reason on a trial that then goes on."""
    with Study.open(tmp_path, space()) as study:
        study.ask()
        study._ledger.note(0, "reason", "its process died")
    with Study.open(tmp_path, space()) as study:
        drive(study)
        assert (study.snapshot()[0].state, study.snapshot()[0].reason) == ("complete", None)


def test_integers_stay_integers(tmp_path: Path) -> None:
    run(tmp_path, space())
    for view in read_views(tmp_path):
        assert type(view.params["batch"]) is int
        assert type(view.params["cos_lr"]) is bool


def test_a_space_without_parameters(tmp_path: Path) -> None:
    views = run(tmp_path, space({}, trials=2))
    assert [view.params for view in views] == [{}, {}]


def test_snapshots_are_taken_while_the_driver_writes(tmp_path: Path) -> None:
    """A reader in another thread sees whole trials only, and never fewer than before."""
    done, seen, errors = threading.Event(), [0], []
    with Study.open(tmp_path, space(trials=40)) as study:

        def watch() -> None:
            try:
                while not done.is_set():
                    views = study.snapshot()
                    assert len(views) >= seen[-1]
                    assert [view.number for view in views] == list(range(len(views)))
                    for view in views:
                        assert view.best_fitness == max(view.values.values(), default=None)
                        assert view.state == "running" or view.ended
                    seen.append(len(views))
            except Exception as error:
                errors.append(error)

        watcher = threading.Thread(target=watch)
        watcher.start()
        drive(study)
        done.set()
        watcher.join()
    assert errors == []
    assert len(set(seen)) > 5


def test_all_kinds_of_parameters_survive_the_file(tmp_path: Path) -> None:
    odd = {
        "space": Categorical(choices=["a b", "ü", "", None, True, 0.1, 3]),
        "class_weights.Red cells": Float(low=0.1, high=10.0, log=True, default=1.0),
        "tiny": Float(low=1e-12, high=1e-3, log=True, default=1e-9),
        "stepped": Float(low=0.0, high=0.3, step=0.1, default=0.1),
        "odd": Integer(low=1, high=9, step=2, default=5),
    }
    with Study.open(tmp_path, space(odd, trials=30)) as study:
        handles = [study.ask() for _ in range(30)]
    assert [view.params for view in read_views(tmp_path)] == [handle.params for handle in handles if handle]
    with Study.open(tmp_path, space(odd, trials=30)) as study:
        assert study.adopt() == handles

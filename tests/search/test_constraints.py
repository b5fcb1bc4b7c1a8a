"""Constraints in the study: what Optuna reads, what its samplers and ours make of it, who is best, who is stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage

from raytrainer.config.layout import StudyFolder
from raytrainer.config.parameters import Float, Integer
from raytrainer.config.space import Failures, Space
from raytrainer.search.replay import replay
from raytrainer.search.standings import standings
from raytrainer.search.study import Study, TrialHandle
from raytrainer.search.views import TrialView, best_of
from search import studies
from search.studies import EPOCHS, essence, space

PARAMETERS = {
    "lr0": Float(low=0.0, high=1.0, default=0.9),
    "box": Float(low=0.0, high=1.0, default=0.5),
    "imgsz": Integer(low=32, high=320, step=32, default=160),
}


def asked(**search: Any) -> Space:
    return space(PARAMETERS, **search).model_copy(update={"subject_to": ["recall > 0.5", "latency_ms < 8"]})


def epoch_of(params: Mapping[str, Any], epoch: int) -> tuple[float, list[float]]:
    """Fitness grows with lr0, recall falls with it, both grow while it trains: the best allowed is at lr0 = 0.4."""
    share = epoch / EPOCHS
    recall = (0.9 - params["lr0"]) * share
    return (params["lr0"] - (params["box"] - 0.5) ** 2) * share, [(0.5 - recall) / 0.5, latency(params)]


def latency(params: Mapping[str, Any]) -> float:
    return (params["imgsz"] / 20 - 8) / 8


def train(study: Study, trial: TrialHandle) -> None:
    if latency(trial.params) > 0:
        study.finish(trial.number, "pruned", "latency_ms is too high", [0.0, latency(trial.params)])
        return
    for epoch in range(study.snapshot()[trial.number].last_epoch + 1, EPOCHS + 1):
        study.report(trial.number, epoch, *epoch_of(trial.params, epoch))
        if study.should_stop(trial.number):
            study.give_up(trial.number)
            return
    study.finish(trial.number, "complete")


def run(folder: Path, wanted: Space) -> list[TrialView]:
    return studies.run(folder, wanted, train)


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [("auto", "asha"), ("auto", "asha-promote"), ("tpe", "none"), ("gp", "median"), ("nsgaii", "hyperband"),
     ("random", "asha"), ("cmaes", "none")],
)  # fmt: skip
def test_every_sampler_and_rule_goes_on_and_the_best_is_feasible(sampler: str, pruner: str, tmp_path: Path) -> None:
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    wanted = asked(trials=14, sampler=sampler, pruner=pruner)
    views = run(tmp_path / "s", wanted)
    best = best_of(views)
    assert best is not None
    assert best.feasible == any(view.feasible and view.best_fitness is not None for view in views)
    excluded = [view for view in views if latency(view.params) > 0]
    assert all((view.state, view.reason, view.values) == ("pruned", "latency_ms is too high", {}) for view in excluded)
    assert all(one.agrees for one in replay(wanted, views) if one.again is not None)


def test_what_was_drawn_beside_running_trials_is_drawn_again(tmp_path: Path) -> None:
    """Though those have violated more since, above all the defaults, which nobody suggested."""
    wanted = asked(trials=12, sampler_args={"n_startup_trials": 2}, pruner="none")
    with Study.open(tmp_path / "s", wanted) as study:
        defaults = study.ask()
        while trial := study.ask():
            train(study, trial)
            views = study.snapshot()
            if defaults is not None and len(views) % 2:
                study.report(0, views[0].last_epoch + 1, *epoch_of(defaults.params, views[0].last_epoch + 1))
        views = study.snapshot()
    assert views[0].state == "running"
    assert views[0].last_epoch > 2
    assert [one.number for one in replay(wanted, views) if one.again is not None and not one.agrees] == []


def test_optuna_reads_the_constraints_its_own_way(tmp_path: Path) -> None:
    views = run(tmp_path / "s", asked(trials=12, sampler="random", pruner="none"))
    storage = JournalStorage(JournalFileBackend(str(StudyFolder(tmp_path / "s").journal)))
    stored = optuna.load_study(study_name=None, storage=storage)
    for view, trial in zip(views, stored.trials, strict=True):
        assert trial.system_attrs["constraints"] == list(view.constraints)
        assert list(trial.constraints.values()) == list(view.constraints)
        assert view.state == "pruned" or list(view.constraints) == view.violated
    best = best_of(views)
    assert best is not None
    assert stored.best_trial.number == best.number


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", asked(trials=12, seed=4))
    with Study.open(tmp_path / "cut", asked(trials=12, seed=4)) as study:
        for _ in range(5):
            trial = study.ask()
            assert trial is not None
            train(study, trial)
        trial = study.ask()
        assert trial is not None
        if latency(trial.params) <= 0:
            study.report(trial.number, 1, *epoch_of(trial.params, 1))
    cut = run(tmp_path / "cut", asked(trials=12, seed=4))
    assert essence(cut) == essence(whole)
    assert [view.violations for view in cut] == [view.violations for view in whole]


def test_the_sampler_auto_learns_where_constraints_are_kept(tmp_path: Path) -> None:
    """One in five of all configurations keeps both at the end, at 0.4 at best; too large images are soon left alone."""
    views = run(tmp_path / "s", asked(trials=40, pruner="none", seed=1))
    assert not any(latency(view.params) > 0 for view in views[20:])
    best = best_of(views)
    assert best is not None
    assert best.feasible
    assert best.best_fitness is not None
    assert best.best_fitness > 0.38


@pytest.mark.parametrize(
    ("kept", "best"),
    [
        ({0: [0.1], 1: [-0.1], 2: [0.0]}, 2),  # feasible ones first, and of those the best fitness
        ({0: [0.3], 1: [0.2], 2: [0.1]}, 2),  # nobody is: the least violated
        ({0: [0.1], 1: [0.1], 2: [0.1]}, 0),  # equally: the first
        ({0: [0.1], 1: [0.1], 2: [-0.1]}, 2),
    ],
)
def test_the_best_trial(kept: dict[int, list[float]], best: int) -> None:
    fitness = {0: 0.9, 1: 0.5, 2: 0.6}
    views = [TrialView(n, "complete", {}, {1: fitness[n]}, fitness[n], 1, violations={1: kept[n]}) for n in fitness]
    found = best_of(views)
    assert found is not None
    assert found.number == best


def test_a_feasible_trial_that_was_stopped_goes_before_an_infeasible_one_of_full_length() -> None:
    long = TrialView(0, "complete", {}, {1: 0.9}, 0.9, 1, violations={1: [0.1]})
    short = TrialView(1, "pruned", {}, {1: 0.1}, 0.1, 1, violations={1: [-0.1]})
    assert best_of([long, short]) == short


def curve(number: int, fitness: Sequence[float], violated: Sequence[float]) -> TrialView:
    values, violations = dict(enumerate(fitness, 1)), {e: [v] for e, v in enumerate(violated, 1)}
    return TrialView(number, "running", {}, values, max(fitness), 1, violations=violations)


@pytest.mark.parametrize(
    ("curves", "order"),
    [
        # Trial 0 kept it in the end, having violated it by 0.5 at the first epoch: 0.4 is forgiven, 0.6 is not.
        ([([0.1, 0.5], [0.5, -0.1]), ([0.3], [0.4]), ([0.9], [0.6])], [1, 0, 2]),
        # Nobody has: the least violated goes on, whatever its fitness.
        ([([0.1, 0.5], [0.5, 0.1]), ([0.3], [0.4]), ([0.9], [0.6])], [1, 0, 2]),
        ([([0.1], [0.2]), ([0.3], [0.4]), ([0.9], [0.6])], [0, 1, 2]),
        # All keep it: by fitness.
        ([([0.1], [-0.2]), ([0.3], [-0.4]), ([0.9], [0.0])], [2, 1, 0]),
    ],
)
def test_who_is_ahead_at_a_rung(curves: list[tuple[list[float], list[float]]], order: list[int]) -> None:
    views = [curve(number, *each) for number, each in enumerate(curves)]
    there = standings(views, 1)
    assert sorted(there, key=lambda number: -there[number]) == order


def test_without_constraints_it_is_the_fitness() -> None:
    views = [TrialView(n, "running", {}, {1: n / 10, 2: 0.0}, n / 10, 1) for n in range(3)]
    assert standings(views, 2) == {0: 0.0, 1: 0.1, 2: 0.2}
    assert standings(views, 3) == {}


LATE, LARGE = (
    "latency_ms is 9, and subject_to asks for latency_ms < 8",
    "params is 2, and subject_to asks for params < 1",
)


def watched(*searched: str, limit: int | None = 3) -> Space:
    made = space({name: PARAMETERS[name] for name in searched})
    return made.model_copy(
        update={"subject_to": ["latency_ms < 8", "params < 1"], "failures": Failures(same_error=limit)}
    )


@pytest.mark.parametrize(
    ("asked", "reason", "violations", "unchanged"),
    [
        (watched("lr0"), LATE, [0.1, -0.1], "latency_ms"),
        (watched("lr0"), f"{LATE}; {LARGE}", [0.1, 1.0], "latency_ms and params"),
        (watched("imgsz"), LATE, [0.1, -0.1], None),
        (watched("imgsz"), f"{LATE}; {LARGE}", [0.1, 1.0], "params"),
        (watched("lr0", limit=None), LATE, [0.1, -0.1], None),
    ],
)
def test_a_study_ends_if_nothing_that_is_searched_changes_what_violates(
    asked: Space, reason: str, violations: list[float], unchanged: str | None, tmp_path: Path
) -> None:
    with Study.open(tmp_path, asked) as study:
        for number in range(3):
            assert study.broken is None, "one measurement may have been taken under load"
            assert study.ask() is not None
            study.finish(number, "pruned", reason, violations)
        assert {view.state for view in study.snapshot()} == {"pruned"}
        assert study.closing == (unchanged is not None)
        assert study.broken == (unchanged and f"{reason}; nothing that is searched changes {unchanged}")


@pytest.mark.parametrize("other", ["trains", "is excluded", "fails"])
def test_a_trial_on_another_device_is_waited_for(other: str, tmp_path: Path) -> None:
    with Study.open(tmp_path, watched("lr0")) as study:
        begun = [study.ask() for _ in range(5)]
        assert None not in begun
        for number in (0, 1, 2, 3):
            study.finish(number, "pruned", LATE, [0.1, -0.1])
            assert study.broken is None, "trial 4 may be on a faster one"
        if other == "trains":
            study.report(4, 1, 0.5, [-0.1, -0.1])
        elif other == "fails":
            study.finish(4, "failed", "unlike")
        else:
            study.finish(4, "pruned", LATE, [0.1, -0.1])
            assert study.closing
            return
        last = study.ask()
        assert last is not None
        study.finish(last.number, "pruned", LATE, [0.1, -0.1])
        assert (study.broken is None) == (other == "trains")

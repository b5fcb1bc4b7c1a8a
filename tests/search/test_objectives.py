"""Several objectives in the study: the front, who goes on at a rung, what Optuna reads, and where `auto` looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from raytrainer.config.layout import StudyFolder
from raytrainer.config.parameters import Float, Integer
from raytrainer.config.problems import UserError
from raytrainer.config.space import Budget, Space
from raytrainer.config.storage import Storage
from raytrainer.search.budget import Left
from raytrainer.search.epoch_notes import epoch_key, epoch_note
from raytrainer.search.front import front
from raytrainer.search.gp.chebyshev import scalarised
from raytrainer.search.gp.observations import observe
from raytrainer.search.gp.sampler import MultiFidelitySampler
from raytrainer.search.planning import Planner
from raytrainer.search.replay import replay
from raytrainer.search.sampler_arguments import check_sampler
from raytrainer.search.study import Study, TrialHandle
from raytrainer.search.views import TrialView
from search import studies
from search.studies import EPOCHS, essence, space

PARAMETERS = {
    "lr0": Float(low=0.0, high=1.0, default=0.9),
    "box": Float(low=0.0, high=1.0, default=0.5),
    "imgsz": Integer(low=32, high=320, step=32, default=160),
}
GOAL = ["mAP50", "-latency_ms"]


def asked(goal: str | list[str] = GOAL, **search: Any) -> Space:
    return space(PARAMETERS, **search).model_copy(update={"fitness": goal})


def epoch_of(params: Mapping[str, Any], epoch: int) -> tuple[float, list[float]]:
    """What is gained by large images, if the rest is right, costs time; all of it is known from the first epoch on."""
    size = params["imgsz"] / 320
    fitness = math.sqrt(size) - (params["lr0"] - 0.3) ** 2 - (params["box"] - 0.2 - 0.6 * size) ** 2
    return fitness * (1 - math.exp(-epoch)), [-size]


def train(study: Study, trial: TrialHandle) -> None:
    for epoch in range(study.snapshot()[trial.number].last_epoch + 1, EPOCHS + 1):
        fitness, others = epoch_of(trial.params, epoch)
        study.report(trial.number, epoch, fitness, others=others)
        if study.should_stop(trial.number):
            study.give_up(trial.number)
            return
    study.finish(trial.number, "complete")


def run(folder: Path, wanted: Space) -> list[TrialView]:
    return studies.run(folder, wanted, train)


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [("auto", "asha"), ("auto", "asha-promote"), ("tpe", "asha"), ("gp", "median"), ("nsgaii", "hyperband"),
     ("nsgaiii", "none"), ("random", "asha-promote"), ("qmc", "none")],
)  # fmt: skip
def test_every_sampler_and_rule_goes_on_and_optuna_knows_the_front(sampler: str, pruner: str, tmp_path: Path) -> None:
    wanted = asked(trials=14, sampler=sampler, pruner=pruner)
    views = run(tmp_path / "s", wanted)
    storage = JournalStorage(JournalFileBackend(str(StudyFolder(tmp_path / "s").journal)))
    stored = optuna.load_study(study_name=None, storage=storage)
    assert {trial.number for trial in stored.best_trials} == {each.number for each in front(views)}
    assert len(front(views)) > 1
    assert [trial.values for trial in stored.trials] == [[*each.objectives] for each in views]
    assert pruner == "none" or sampler in ("gp", "nsgaii") or any(each.state == "pruned" for each in views)
    assert all(one.agrees for one in replay(wanted, views) if one.again is not None)


@pytest.mark.parametrize(("sampler", "pruner"), [("auto", "asha"), ("tpe", "asha"), ("nsgaii", "none"), ("gp", "none")])
def test_constraints_and_objectives_together(sampler: str, pruner: str, tmp_path: Path) -> None:
    """Every third size is known to be too large before an epoch; of the others some break what only training tells."""
    wanted = asked(trials=14, sampler=sampler, pruner=pruner, seed=1)
    wanted = wanted.model_copy(update={"subject_to": ["params < 1", "recall > 0.5"]})
    with Study.open(tmp_path / "s", wanted) as study:
        while trial := study.ask():
            if trial.params["imgsz"] > 224:
                study.finish(trial.number, "pruned", "params is too high", [0.5, 0.0])
                continue
            fitness, others = epoch_of(trial.params, 1)
            study.report(trial.number, 1, fitness, [-0.1, trial.params["lr0"] - 0.7], others)
            study.finish(trial.number, "complete")
        views = study.snapshot()
    storage = JournalStorage(JournalFileBackend(str(StudyFolder(tmp_path / "s").journal)))
    stored = optuna.load_study(study_name=None, storage=storage)
    members = front(views)
    assert all(each.feasible and each.params["lr0"] <= 0.7 for each in members)
    assert {trial.number for trial in stored.best_trials} == {each.number for each in members}
    assert {each.state for each in views} == {"complete", "pruned"}
    assert all(one.agrees for one in replay(wanted, views) if one.again is not None)


@pytest.mark.parametrize("sampler", ["auto", "tpe"])
def test_it_goes_on_where_it_was(sampler: str, tmp_path: Path) -> None:
    wanted = asked(trials=12, seed=4, sampler=sampler)
    if sampler == "tpe":  # a database, too
        url = f"sqlite:///{tmp_path}/studies.db"
        wanted = wanted.model_copy(update={"storage": Storage.parse({"folder": str(tmp_path), "study": url})})
    whole = run(tmp_path / "whole", wanted)
    wanted = wanted.model_copy(update={"name": "cut"})
    with Study.open(tmp_path / "cut", wanted) as study:
        for _ in range(8):
            trial = study.ask()
            assert trial is not None
            train(study, trial)
        trial = study.ask()
        assert trial is not None
        study.report(trial.number, 1, *epoch_of(trial.params, 1)[:1], others=epoch_of(trial.params, 1)[1])
    cut = run(tmp_path / "cut", wanted)
    assert len(cut[-1].objectives) == 2
    assert essence(cut) == essence(whole)
    assert [each.others for each in cut] == [each.others for each in whole]


def dominated(views: Sequence[TrialView]) -> float:
    """Area between the front and (-1, -1)."""
    found, area, height = sorted((each.objectives for each in front(views)), reverse=True), 0.0, -1.0
    for fitness, other in found:
        area, height = area + (fitness + 1) * (other - height), max(height, other)
    return area


def test_one_value_is_that_of_the_epoch_that_a_trial_would_be_left_with() -> None:
    """Not that of an earlier one, though its weighted value was higher; in ranges of the trials that came furthest."""
    space_of_x: dict[str, Any] = {"x": FloatDistribution(0, 1)}

    def trial(curve: dict[int, tuple[float, float]]) -> FrozenTrial:
        notes = {epoch_key(at): epoch_note((), [other]) for at, (_, other) in curve.items()}
        values = {at: fitness for at, (fitness, _) in curve.items()}
        return create_trial(
            state=TrialState.RUNNING, params={"x": 0.5}, distributions=space_of_x, intermediate_values=values,
            system_attrs=notes,
        )  # fmt: skip

    seen = [trial({1: (0.1, 1.0), 9: (0.6, 0.5)}), trial({9: (0.2, 0.9)}), trial({1: (-9.0, 0.9)})]
    curves = scalarised(seen, [1, 1], np.array([0.1, 0.9]), 9)
    assert list(zip(curves.owner, curves.epoch, strict=True)) == [(0, 1), (0, 9), (1, 9), (2, 1)]
    assert curves.value == pytest.approx([-0.12, -0.945, -0.105, -2.52])
    assert observe(seen, 1.0, 9, curves).value.tolist() == curves.value.tolist()


def test_of_trials_that_a_budget_has_cut_the_best_placed_goes_on_first() -> None:
    """By all objectives, and a feasible one before one of more fitness that is not."""
    planner, left = (
        Planner.of(asked(trials=None, pruner="none", budget=Budget(epochs=60))),
        Left(30, math.inf, math.inf),
    )
    cut = {"paused": 2, "cut": 2}

    def view(number: int, fitness: float, other: float, violated: float = 0.0) -> TrialView:
        return TrialView(
            number, "paused", {}, {1: 0.0, 2: fitness}, fitness, 2, notes=cut,
            others={1: [other], 2: [other]}, violations={1: [violated], 2: [violated]},
        )  # fmt: skip

    assert planner.goes_on([view(0, 0.5, -3), view(1, 0.9, -2, violated=0.1), view(2, 0.6, -2)], left) == 2
    assert planner.goes_on([view(0, 0.5, -3), view(1, 0.9, -2), view(2, 0.6, -2)], left) == 1


def test_the_sampler_auto_finds_more_of_the_front_than_chance(tmp_path: Path) -> None:
    areas: dict[str, list[float]] = {"auto": [], "random": []}
    for sampler, found in areas.items():
        for seed in range(2):
            wanted = asked(trials=40, sampler=sampler, seed=seed, pruner="none")
            found.append(dominated(run(tmp_path / f"{sampler}{seed}", wanted)))
    assert min(areas["auto"]) > max(areas["random"])


@pytest.mark.parametrize("directions", [("maximize", "maximize"), ("minimize", "maximize"), ("minimize", "minimize")])
def test_in_plain_optuna_it_is_the_same_whichever_way_objectives_go(directions: tuple[str, str]) -> None:
    signs = [1 if direction == "maximize" else -1 for direction in directions]

    def objective(trial: optuna.Trial) -> list[float]:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        return [sign * value for sign, value in zip(signs, (x - y**2, -(x**2) - y), strict=True)]

    study = optuna.create_study(directions=list(directions), sampler=MultiFidelitySampler(seed=2))
    study.optimize(objective, n_trials=9)
    same = optuna.create_study(directions=["maximize"] * 2, sampler=MultiFidelitySampler(seed=2))
    signs = [1, 1]
    same.optimize(objective, n_trials=9)
    assert [trial.params for trial in study.trials] == [trial.params for trial in same.trials]


@pytest.mark.parametrize(
    ("fitness", "others", "reason"),
    [
        (0.5, [math.nan], "the objective -latency_ms was nan at epoch 2"),
        (0.5, [-math.inf], "the objective -latency_ms was -inf at epoch 2"),
        (math.nan, [math.nan], "the fitness was nan at epoch 2"),
    ],
)
def test_an_objective_without_a_value_fails_the_trial(
    fitness: float, others: list[float], reason: str, tmp_path: Path
) -> None:
    with Study.open(tmp_path / "s", asked()) as study:
        assert study.ask() is not None
        study.report(0, 1, 0.5, others=[-1.0])
        study.report(0, 2, fitness, others=others)
        (found,) = study.snapshot()
    assert (found.state, found.reason, dict(found.values)) == ("failed", reason, {1: 0.5})


def test_a_sampler_that_follows_one_value_is_refused_before_anything_starts(tmp_path: Path) -> None:
    told = r"CmaEsSampler follows one objective, and there are 2: auto, tpe, gp, nsgaii and random take several"
    for begin in (check_sampler, lambda wanted: Study.open(tmp_path / "s", wanted)):
        with pytest.raises(UserError, match=told):
            begin(asked(sampler="cmaes"))


def test_objectives_stay_while_there_are_trials(tmp_path: Path) -> None:
    Study.open(tmp_path / "s", asked("mAP50")).close()
    with Study.open(tmp_path / "s", asked()) as study:  # there were none
        trial = study.ask()
        assert trial is not None
        train(study, trial)
        assert len(study.snapshot()[0].objectives) == 2
    with pytest.raises(UserError, match="fitness: the study was begun with"):
        Study.open(tmp_path / "s", asked("mAP50"), extend=True)


def test_a_study_of_one_objective_keeps_nothing_new(tmp_path: Path) -> None:
    with Study.open(tmp_path / "s", asked("mAP50")) as study:
        assert study.ask() is not None
        study.report(0, 1, 0.5)
        study.finish(0, "complete")
        (found,) = study.snapshot()
    assert (found.objectives, dict(found.others)) == ((0.5,), {})
    assert "raytrainer:epoch" not in StudyFolder(tmp_path / "s").journal.read_text()

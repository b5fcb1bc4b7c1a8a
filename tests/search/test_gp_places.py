"""A trial without any parameter that is searched is at no place: the search goes on as if it were not there."""

from __future__ import annotations

import copy
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import PartialFixedSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from raytrainer.search.gp.sampler import MultiFidelitySampler

FIXED: dict[str, BaseDistribution] = {"fixed": IntDistribution(7, 7)}
STARTUP = 3


def study_of(trials: list[FrozenTrial]) -> Study:
    study = optuna.create_study(direction="maximize", sampler=MultiFidelitySampler(seed=0, n_startup_trials=STARTUP))
    study.add_trials(trials)
    return study


def suggestion(trials: list[FrozenTrial], number: int) -> dict[str, Any]:
    """What a trial of this number gets beside these, however many they are: a suggestion depends on its number."""
    study = study_of(trials)
    elsewhere = optuna.create_study(storage=study._storage).ask()
    asked = copy.copy(study._storage.get_trial(elsewhere._trial_id))
    asked.number = number
    return study.sampler.sample_relative(study, asked, study.sampler.infer_relative_search_space(study, asked))


def objective(trial: Trial) -> float:
    """Best in the middle, where what is absent is taken to be; every second trial fails before it has a place."""
    if trial.number % 2:
        raise RuntimeError("no place yet")
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
    return -((x - 0.5) ** 2) - (y - 0.5) ** 2


def test_failures_before_the_first_parameter_change_no_suggestion() -> None:
    study = study_of([])
    study.optimize(objective, n_trials=15, catch=RuntimeError)
    placed = [trial for trial in study.trials if trial.params]
    assert len(placed) == 8
    for count, trial in enumerate(placed[1:], 1):
        assert suggestion(placed[:count], trial.number) == trial.params


def placed(count: int) -> list[FrozenTrial]:
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1), "kind": CategoricalDistribution(["a", "b"])}
    return [
        create_trial(params={"x": at / count, "kind": "ab"[at % 2]}, distributions=space, value=-abs(at / count - 0.5))
        for at in range(count)
    ]


@pytest.mark.parametrize("params", [{}, {"fixed": 7}], ids=["none", "fixed"])
@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE])
def test_trials_without_a_place_change_no_suggestion(state: TrialState, params: dict[str, Any]) -> None:
    value = 1.0 if state == TrialState.COMPLETE else None
    distributions = {name: FIXED[name] for name in params}
    without = [create_trial(state=state, params=params, distributions=distributions, value=value) for _ in range(4)]
    assert suggestion(placed(6) + without, 10) == suggestion(placed(6), 10)


@pytest.mark.filterwarnings("ignore:PartialFixedSampler is experimental")
@pytest.mark.parametrize("objectives", [1, 2])
def test_a_study_of_nothing_but_such_trials_goes_on(objectives: int) -> None:
    """First without any parameter, then with others than those that are searched."""
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=MultiFidelitySampler(seed=0))
    study.optimize(lambda _: [1.0] * objectives, n_trials=8)
    study.sampler = PartialFixedSampler({"kind": "a"}, study.sampler)
    for _ in range(8):
        trial = study.ask()
        assert trial.suggest_categorical("kind", ["a", "b"]) == "a"
        study.tell(trial, [1.0] * objectives)
    sampler, asked = MultiFidelitySampler(seed=0), study._storage.get_trial(study.ask()._trial_id)
    assert 0 <= sampler.sample_relative(study, asked, {"x": FloatDistribution(0, 1)})["x"] <= 1

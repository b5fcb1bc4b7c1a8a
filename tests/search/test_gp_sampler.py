"""The sampler in plain Optuna: whatever the study holds, it suggests, reproducibly, and better than chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from raytrainer.search.gp.sampler import WHY, MultiFidelitySampler

SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "momentum": FloatDistribution(0.6, 0.99),
    "dropout": FloatDistribution(0, 0.5, step=0.1),
    "layers": IntDistribution(1, 5),
    "width": IntDistribution(16, 512, log=True),
    "optimizer": CategoricalDistribution(["SGD", "AdamW", None]),
    "fixed": IntDistribution(7, 7),
}


def study_of(trials: list[FrozenTrial], sampler: BaseSampler | None = None, direction: str = "maximize") -> Study:
    study = optuna.create_study(direction=direction, sampler=sampler or MultiFidelitySampler(seed=1))
    study.add_trials(trials)
    return study


def past(
    count: int, state: TrialState = TrialState.COMPLETE, value: Callable[[int], float] = float
) -> list[FrozenTrial]:
    """Trials with random parameters and a curve of three epochs, the last of them worth `value` of the number."""
    random = optuna.create_study(sampler=RandomSampler(seed=0))
    asked = [random.ask(SPACE) for _ in range(count)]
    return [
        create_trial(
            state=state,
            params=one.params,
            distributions=SPACE,
            value=None if state in (TrialState.FAIL, TrialState.RUNNING) else value(number),
            intermediate_values={} if state == TrialState.FAIL else {1: 0.0, 2: value(number) / 2, 3: value(number)},
        )
        for number, one in enumerate(asked)
    ]


def unreported(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    for trial in trials:
        trial.intermediate_values = {}
    return trials


@pytest.mark.parametrize(
    "trials",
    [
        [],
        past(1),
        past(12),
        past(12, TrialState.PRUNED),
        past(12, TrialState.FAIL),
        past(12, TrialState.RUNNING),
        unreported(past(12)),
        past(12, value=lambda _: 0.25),
        past(12, TrialState.PRUNED, value=lambda number: math.nan if number % 2 else number),
        past(12, TrialState.RUNNING, value=lambda _: math.inf),
        past(8) + past(8, TrialState.FAIL) + past(8, TrialState.PRUNED),
        past(8) + unreported(past(64, TrialState.RUNNING)),
        past(1000),
    ],
    ids=[
        *["empty", "one", "complete", "pruned", "all failed", "running", "no curves", "all equal", "nan", "infinite"],
        *["mixed", "64 pending", "1000"],
    ],
)
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_any_study_gets_a_suggestion_in_range(trials: list[FrozenTrial], direction: str) -> None:
    study = study_of(trials, direction=direction)
    for _ in range(3):
        params = study.ask(SPACE).params
        assert set(params) == set(SPACE)
        assert all(SPACE[name]._contains(SPACE[name].to_internal_repr(value)) for name, value in params.items())


@pytest.mark.parametrize("count", [0, 3, 20])
def test_a_suggestion_is_a_function_of_the_study_the_seed_and_the_number(tmp_path: Path, count: int) -> None:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal")))
    kept = optuna.create_study(storage=storage, study_name="kept", direction="maximize")
    kept.add_trials(past(count))
    suggested = []
    for _ in range(3):
        reopened = optuna.load_study(storage=storage, study_name="kept", sampler=MultiFidelitySampler(seed=3))
        suggested.append(reopened.ask(SPACE).params)
    undisturbed = study_of(past(count), MultiFidelitySampler(seed=3))
    assert [undisturbed.ask(SPACE).params for _ in range(3)] == suggested
    assert study_of(past(count), MultiFidelitySampler(seed=4)).ask(SPACE).params != suggested[0]
    assert len({str(params) for params in suggested}) == 3


def conditional(trial: Trial) -> dict[str, Any]:
    params: dict[str, Any] = {"optimizer": trial.suggest_categorical("optimizer", ["SGD", "AdamW"])}
    if params["optimizer"] == "SGD":
        params["momentum"] = trial.suggest_float("momentum", 0.0, 1.0)
        params["nesterov"] = trial.suggest_categorical("nesterov", [True, False])
    else:
        params["layers"] = trial.suggest_int("layers", 1, 4)
        if params["layers"] > 2:
            params["width"] = trial.suggest_float("width", 1.0, 100.0, log=True)
    return params


def test_without_a_seed_no_two_searches_are_the_same() -> None:
    found = {study_of([], MultiFidelitySampler(seed=None)).ask(SPACE).params["lr"] for _ in range(3)}
    assert len(found) == 3
    first, second = (study_of(past(9), MultiFidelitySampler(seed=None)).ask(SPACE).params for _ in range(2))
    assert first != second


def test_conditional_parameters_are_modelled_where_they_are_active() -> None:
    study = study_of([], MultiFidelitySampler(seed=0))
    for _ in range(30):
        trial = study.ask()
        params = conditional(trial)
        study.tell(trial, 1 - (params["momentum"] - 0.3) ** 2 if params["optimizer"] == "SGD" else 0.8)
    assert study.best_value > 0.999
    assert all(("width" in trial.params) == (trial.params.get("layers", 0) > 2) for trial in study.trials)


def test_parameters_that_are_new_to_the_study_are_drawn() -> None:
    study = study_of(past(10))
    trial = study.ask()
    assert 0 <= trial.suggest_float("brand_new", 0, 1) <= 1
    assert trial.suggest_int("alone", 3, 3) == 3
    assert trial.suggest_categorical("one", ["only"]) == "only"


def aimed(trial: Trial, at: str) -> float:
    """Nearer to 0.3 is better; a curve, where there is one, is of something else."""
    x = trial.suggest_float("x", 0, 1)
    for epoch in {"nothing": [], "step 0": [0], "another": [1, 2, 3]}[at]:
        trial.report(x * epoch if epoch else abs(x - 0.3), epoch)
    return abs(x - 0.3)


@pytest.mark.parametrize("at", ["nothing", "step 0", "another"])
def test_the_values_of_complete_trials_are_what_is_sought(at: str) -> None:
    study = study_of([], MultiFidelitySampler(seed=0), "minimize")
    study.optimize(lambda trial: aimed(trial, at), n_trials=25)
    assert study.best_value < 0.01
    assert np.median([abs(trial.params["x"] - 0.3) for trial in study.trials[-10:]]) < 0.1
    why = study.trials[-1].system_attrs[WHY]
    assert why["from"] <= why["expected"] <= why["to"]


def test_pending_trials_are_not_suggested_again() -> None:
    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    study = study_of([], MultiFidelitySampler(seed=0))
    for _ in range(12):
        trial = study.ask(space)
        study.tell(trial, -((trial.params["x"] - 0.4) ** 2) - (trial.params["y"] - 0.6) ** 2)
    pending = np.array([[trial.params["x"], trial.params["y"]] for trial in (study.ask(space) for _ in range(8))])
    gaps = np.linalg.norm(pending[:, None] - pending[None], axis=-1) + np.eye(8)
    assert gaps.min() > 0.005


def test_failures_are_kept_away_from() -> None:
    """Half of the space crashes, the better half for all that is known of it; a few tries are enough to see that."""
    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    study = study_of([], MultiFidelitySampler(seed=0))
    for _ in range(40):
        trial = study.ask(space)
        if trial.params["x"] > 0.5:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, trial.params["x"] + trial.params["y"])
    late = [trial.state for trial in study.trials[15:]]
    assert late.count(TrialState.FAIL) < len(late) / 2
    assert study.best_value > 1.4


EPOCHS = 27


def test_what_crashes_stays_known_however_long_a_study_becomes() -> None:
    """Large images in large batches do not fit, and would be the best."""
    space = {
        "batch": CategoricalDistribution([8, 16, 32, 64]),
        "imgsz": IntDistribution(320, 1280, step=320),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
    }
    study = study_of([], MultiFidelitySampler(seed=0, max_epochs=EPOCHS))
    for _ in range(90):
        trial = study.ask(space)
        batch, size = trial.params["batch"], trial.params["imgsz"]
        if batch * size**2 > 32 * 640**2:
            study.tell(trial, state=TrialState.FAIL)
            continue
        final = size / 1280 + batch / 200 - (math.log10(trial.params["lr"]) + 2) ** 2 / 4
        for epoch in range(1, EPOCHS + 1):
            trial.report(final * (1 - 0.8**epoch), epoch)
        study.tell(trial, final)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials[30:]) <= 12


def curve(params: dict[str, Any], epoch: int) -> float:
    """A run that ends the better the nearer it is to (1e-2, 0.9, AdamW), and learns the faster the higher its rate."""
    log_lr = math.log10(params["lr"])
    final = 1 - 0.15 * (log_lr + 2) ** 2 - 4 * (params["momentum"] - 0.9) ** 2 - 0.2 * (params["optimizer"] != "AdamW")
    return final - math.exp(-epoch / (2 - log_lr))


def search(sampler: BaseSampler, budget: int) -> float:
    """The best value within a budget of epochs; the worse two thirds are cut at a third and at a ninth of a run."""
    study = study_of([], sampler)
    space = {name: SPACE[name] for name in ("lr", "momentum", "optimizer")}
    at: dict[int, list[float]] = {3: [], 9: []}
    best = -math.inf
    while budget > 0:
        trial = study.ask(space)
        for epoch in range(1, EPOCHS + 1):
            budget -= 1
            value = curve(trial.params, epoch)
            trial.report(value, epoch)
            if epoch in at:
                at[epoch].append(value)
                if value < np.quantile(at[epoch], 2 / 3):
                    break
        study.tell(
            trial, value if epoch == EPOCHS else None, TrialState.COMPLETE if epoch == EPOCHS else TrialState.PRUNED
        )
        best = max(best, value)
    return best


def test_it_finds_far_more_than_chance_per_epoch() -> None:
    optimum = curve({"lr": 1e-2, "momentum": 0.9, "optimizer": "AdamW"}, EPOCHS)
    missed = [optimum - search(MultiFidelitySampler(seed, max_epochs=EPOCHS), 10 * EPOCHS) for seed in range(3)]
    by_chance = [optimum - search(RandomSampler(seed), 10 * EPOCHS) for seed in range(10)]
    assert np.mean(missed) < np.mean(by_chance) / 3

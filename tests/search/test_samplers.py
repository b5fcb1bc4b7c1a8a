"""Every sampler with every kind of parameter, in every state a study can be in. A new sampler is one row."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.conditions import is_active
from raytrainer.config.parameters import Categorical, Integer
from raytrainer.config.problems import UserError
from raytrainer.config.space import Parameter
from raytrainer.search.samplers import Suggester, sampler_class, trial_seed
from raytrainer.search.study import Study, TrialHandle
from search.studies import CONDITIONAL, EPOCHS, MIXED, PLAIN, fitness, space, train

QUICK: dict[str, dict[str, Any]] = {
    "tpe": {"n_startup_trials": 4},
    "random": {},
    "qmc": {},
    "gp": {"n_startup_trials": 4},
    "cmaes": {"n_startup_trials": 2},
    "nsgaii": {"population_size": 4},
    "auto": {"n_startup_trials": 4},
    "bruteforce": {},
}
SPACES = {"plain": PLAIN, "mixed": MIXED, "conditional": CONDITIONAL}
# Brute force needs a space that can be counted.
ROWS = [(sampler, kind) for sampler in QUICK for kind in SPACES if sampler != "bruteforce"]


def prepare(sampler: str, parameters: Mapping[str, Parameter], **search: Any) -> Any:
    if sampler == "cmaes" and importlib.util.find_spec("cmaes") is None:
        pytest.skip("the package cmaes is not installed")
    return space(parameters, sampler=sampler, sampler_args=QUICK[sampler], **search)


def healthy(study: Study, number: int) -> None:
    train(study, TrialHandle.of(study.snapshot()[number]))


def all_failed(study: Study, number: int) -> None:
    study.finish(number, "failed", "out of memory")


def all_equal(study: Study, number: int) -> None:
    for epoch in range(1, EPOCHS + 1):
        study.report(number, epoch, 0.5)
    study.finish(number, "complete")


def all_nan(study: Study, number: int) -> None:
    study.report(number, 1, math.nan)


def all_pending(study: Study, number: int) -> None:
    study.report(number, 1, 0.1)


def mostly_failed(study: Study, number: int) -> None:
    (healthy if number % 4 == 0 else all_failed)(study, number)


def worse_and_worse(study: Study, number: int) -> None:
    """Most are stopped early, or paused."""
    for epoch in range(1, EPOCHS + 1):
        study.report(number, epoch, epoch / (1 + number))
        if study.should_stop(number):
            study.give_up(number)
            return
    study.finish(number, "complete")


def check_trial(parameters: Mapping[str, Parameter], params: Mapping[str, Any]) -> None:
    """Exactly the active parameters, each of its own type and within its range."""
    assert set(params) == {name for name, parameter in parameters.items() if is_active(parameter, params)}
    for name, value in params.items():
        parameter = parameters[name]
        assert parameter.holds(value), (name, value)
        expected = {"lr0": float, "box": float, "momentum": float, "batch": int, "warmup_epochs": int}.get(name)
        assert expected is None or type(value) is expected


@pytest.mark.parametrize(("sampler", "kind"), ROWS)
def test_suggestions_are_sound(tmp_path: Path, sampler: str, kind: str) -> None:
    with Study.open(tmp_path, prepare(sampler, SPACES[kind], trials=12)) as study:
        while trial := study.ask():
            check_trial(SPACES[kind], trial.params)
            healthy(study, trial.number)
        assert len({str(view.params) for view in study.snapshot()}) > 6


@pytest.mark.parametrize("outcome", [all_failed, all_equal, all_nan, all_pending, mostly_failed])
@pytest.mark.parametrize("sampler", [name for name in QUICK if name != "bruteforce"])
def test_whatever_became_of_the_others(tmp_path: Path, sampler: str, outcome: Any) -> None:
    with Study.open(tmp_path, prepare(sampler, MIXED, trials=9)) as study:
        while trial := study.ask():
            check_trial(MIXED, trial.params)
            outcome(study, trial.number)
        assert len(study.snapshot()) == 9


COUNTED = {"cos_lr": Categorical(choices=[False, True]), "close_mosaic": Integer(low=0, high=2, default=0)}
GRID = {"search_space": {"cos_lr": [False, True], "close_mosaic": [0, 1, 2]}}


@pytest.mark.parametrize("pruner", ["none", "asha-promote"])
@pytest.mark.parametrize("outcome", [all_equal, all_pending, mostly_failed, worse_and_worse])
@pytest.mark.parametrize(("sampler", "args", "trials"), [("bruteforce", {}, 6), ("grid", GRID, 7)])
def test_what_tries_all_there_is_does_so(
    tmp_path: Path, sampler: str, args: Any, trials: int, outcome: Any, pruner: str
) -> None:
    """A grid has no place of its own for the defaults, and comes to them a second time."""
    asked = space(COUNTED, sampler=sampler, sampler_args=args, trials=trials, pruner=pruner)
    with Study.open(tmp_path, asked) as study:
        while trial := study.ask():
            outcome(study, trial.number)
        tried = [view.params for view in study.snapshot()]
    assert len({str(params) for params in tried}) == 6
    assert len(tried) == trials


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp", "cmaes", "nsgaii", "auto"])
@pytest.mark.parametrize("restart_after", [1, 5, 9])
def test_a_restarted_driver_suggests_the_same(tmp_path: Path, sampler: str, restart_after: int) -> None:
    asked = prepare(sampler, CONDITIONAL, trials=10)
    with Study.open(tmp_path / "whole", asked) as study:
        while trial := study.ask():
            healthy(study, trial.number)
        whole = [view.params for view in study.snapshot()]
    with Study.open(tmp_path / "broken", asked) as study:
        for _ in range(restart_after):
            trial = study.ask()
            assert trial
            healthy(study, trial.number)
    with Study.open(tmp_path / "broken", asked) as study:
        while trial := study.ask():
            healthy(study, trial.number)
        assert [view.params for view in study.snapshot()] == whole


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "auto"])
def test_the_seed_is_the_searchs(tmp_path: Path, sampler: str) -> None:
    found = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        with Study.open(tmp_path / folder, prepare(sampler, MIXED, trials=6, seed=seed)) as study:
            while trial := study.ask():
                healthy(study, trial.number)
            found.append([view.params for view in study.snapshot()])
    assert found[0] == found[1]
    assert found[0][0] == found[2][0], "the defaults come first whatever the seed"
    assert found[0][1:] != found[2][1:]


def test_pending_trials_are_kept_clear_of(tmp_path: Path) -> None:
    """TPE's constant liar: suggestions drawn at the same time differ."""
    with Study.open(tmp_path, prepare("tpe", PLAIN, trials=40)) as study:
        for _ in range(12):
            trial = study.ask()
            assert trial
            healthy(study, trial.number)
        pending = [study.ask() for _ in range(8)]
        assert len({str(trial and trial.params) for trial in pending}) == 8


def test_tpe_learns(tmp_path: Path) -> None:
    """The last third of a search is better than random sampling's, and near the best learning rate."""
    means = {}
    for sampler in ("tpe", "random"):
        asked = space(PLAIN, sampler=sampler, trials=45, pruner="none")
        with Study.open(tmp_path / sampler, asked) as study:
            while trial := study.ask():
                healthy(study, trial.number)
            means[sampler] = sum(fitness(view.params, EPOCHS) for view in study.snapshot()[30:]) / 15
    assert means["tpe"] > means["random"] + 0.1


@pytest.mark.parametrize(
    ("search", "key", "message"),
    [
        ({"sampler": "tpee"}, "search.sampler", "no sampler is called 'tpee', did you mean 'tpe'?"),
        ({"sampler": "PartialFixedSampler"}, "search.sampler", "no sampler is called 'PartialFixedSampler'"),
        (
            {"sampler_args": {"n_startup": 3}},
            "search.sampler_args.n_startup",
            "MultiFidelitySampler has no argument 'n_startup', did you mean",
        ),
        (
            {"sampler": "tpe", "sampler_args": {"seed": 3}},
            "search.sampler_args.seed",
            "given by search.seed: leave it out",
        ),
        ({"sampler": "random", "sampler_args": {"x": 3}}, "search.sampler_args.x", "RandomSampler has no argument 'x'"),
        (
            {"sampler": "qmc", "sampler_args": {"qmc_type": "x"}},
            "search.sampler_args",
            "QMCSampler: The `qmc_type='x'`",
        ),
        ({"sampler": "grid"}, "search.sampler_args", "GridSampler: "),
        (
            {"sampler": "tpe", "sampler_args": {"group": True, "multivariate": False}},
            "search.sampler_args",
            "TPESampler: ``group``",
        ),
    ],
)
def test_what_no_sampler_takes(tmp_path: Path, search: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        Study.open(tmp_path, space(**search))
    (problem,) = caught.value.problems
    assert problem.key == key
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", "MultiFidelitySampler"),
        ("multi-fidelity", "MultiFidelitySampler"),
        ("tpe", "TPESampler"),
        ("TPESampler", "TPESampler"),
        ("random", "RandomSampler"),
        ("CmaEs", "CmaEsSampler"),
        ("cma-es", "CmaEsSampler"),
        ("nsga_ii", "NSGAIISampler"),
        ("gp", "GPSampler"),
    ],
)
def test_a_sampler_by_name(name: str, expected: str) -> None:
    assert sampler_class(name).__name__ == expected


def test_a_grid_is_walked_through_without_repetition(tmp_path: Path) -> None:
    parameters = {"batch": PLAIN["batch"], "optimizer": MIXED["optimizer"]}
    grid = {"search_space": {"batch": [4, 8], "optimizer": ["SGD", "AdamW", "MuSGD"]}}
    with Study.open(tmp_path, space(parameters, sampler="grid", sampler_args=grid, trials=6)) as study:
        while trial := study.ask():
            healthy(study, trial.number)
        tried = {(view.params["batch"], view.params["optimizer"]) for view in study.snapshot()[1:]}
    assert len(tried) == 5


def test_seeds_of_trials_are_apart() -> None:
    seeds = {trial_seed(seed, number) for seed in range(20) for number in range(50)}
    assert len(seeds) == 1000
    assert trial_seed(3, 4) == Suggester("random", seed=3).sampler(4)._rng.rng.get_state()[1][0]  # type: ignore[attr-defined]

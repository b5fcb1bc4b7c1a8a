"""A configuration that is drawn again is trained with another seed, which is noted and comes back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from raytrainer.config.assemble import assemble
from raytrainer.config.space import Categorical, Float
from raytrainer.search.gp.sampler import MultiFidelitySampler
from raytrainer.search.study import Study
from search.studies import space, train

FEW = {"cos_lr": Categorical(choices=[False, True])}
GRID = {"mosaic": Float(low=0.0, high=0.5, step=0.1, default=0.3)}


@pytest.mark.parametrize(("fixed", "first"), [({}, 4), ({"seed": 11}, 11)])
def test_every_repetition_has_its_own_seed(tmp_path: Path, fixed: dict[str, Any], first: int) -> None:
    asked = space(FEW, trials=8, seed=4, sampler="random", pruner="none")
    asked = asked.model_copy(update={"train": {**asked.train, **fixed}})
    seeds: dict[bool, list[int]] = {False: [], True: []}
    with Study.open(tmp_path, asked) as study:
        while trial := study.ask():
            seeds[bool(trial.params["cos_lr"])].append(assemble(asked, trial.params, trial.amended).train["seed"])
            train(study, trial)
    for drawn in seeds.values():
        assert drawn == list(range(first, first + len(drawn)))
    with Study.open(tmp_path, asked) as study:
        noted = [assemble(asked, view.params, view.notes.get("amended", {})) for view in study.snapshot()]
    assert sorted(config.train["seed"] for config in noted) == sorted(seeds[False] + seeds[True])


@pytest.mark.parametrize("sampler", ["auto", "random"])
def test_a_step_of_a_grid_is_the_same_however_it_was_rounded(tmp_path: Path, sampler: str) -> None:
    asked = space(GRID, trials=25, sampler=sampler, pruner="none")
    with Study.open(tmp_path, asked) as study:
        while trial := study.ask():
            train(study, trial)
        views = study.snapshot()
    seeds = [assemble(asked, view.params, view.notes.get("amended", {})).train["seed"] for view in views]
    steps = [round(float(view.params["mosaic"]) * 10) for view in views]
    assert steps.count(3) > 1
    assert len(set(zip(steps, seeds, strict=True))) == len(views)


def test_a_trial_that_is_taken_up_again_keeps_its_seed(tmp_path: Path) -> None:
    asked = space(FEW, trials=6, sampler="random")
    with Study.open(tmp_path, asked) as study:
        handles = [study.ask() for _ in range(6)]
    with Study.open(tmp_path, asked) as study:
        assert study.adopt() == handles
    assert any(handle and handle.amended for handle in handles)


def test_where_values_are_noisy_good_configurations_are_drawn_again() -> None:
    distributions = {
        "x": FloatDistribution(0.0, 1.0, step=0.1), "kind": CategoricalDistribution(["a", "b"])
    }  # fmt: skip
    study, rng = optuna.create_study(direction="maximize"), np.random.default_rng(0)
    for _ in range(45):
        study.sampler = MultiFidelitySampler(seed=0)
        trial = study.ask(distributions)
        worth = 1 - abs(trial.params["x"] - 0.7) - 0.3 * (trial.params["kind"] == "b")
        study.tell(trial, worth + 0.15 * rng.normal())
    drawn = Counter((trial.params["x"], trial.params["kind"]) for trial in study.trials)
    assert len(drawn) <= 22, "the same numbers to the last digit"
    repeated = [each for each, times in drawn.items() if times > 2]
    assert repeated
    assert all(kind == "a" and 0.4 < x < 1.0 for x, kind in repeated)

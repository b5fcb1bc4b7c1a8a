"""What every sampler and every stopping rule takes, in whatever state a study is. A new one is one row."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from raytrainer.config.parameters import Float, Integer
from raytrainer.config.space import Space
from raytrainer.search.epoch_notes import attrs_of, told, violations_of
from raytrainer.search.population import Population
from raytrainer.search.samplers import suggester_of
from raytrainer.search.stopping import decider_of
from raytrainer.search.suggestion import distribution, draw
from raytrainer.search.thinning import as_pruned
from raytrainer.search.views import BASELINE, PAUSED, PROMOTED, TrialView, is_paused, view_of
from search.studies import CONDITIONAL, EPOCHS, space
from search.test_samplers import check_trial

SAMPLERS: dict[str, dict[str, Any]] = {
    "auto": {},
    "tpe": {},
    "random": {},
    "qmc": {},
    "cmaes": {},
    "nsgaii": {"population_size": 8},
    "nsgaiii": {"population_size": 8},
    "gp": {"n_startup_trials": 4},
}
"""Samplers and their arguments."""
QUICK = (
    "empty", "one trial", "one running", "all failed", "failed before any parameter", "all failed before any parameter"
)  # fmt: skip
"""Studies that Optuna's gp is asked about: after others, it takes seconds a suggestion (see `test_samplers`)."""
RULES = ["asha", "asha-promote", "hyperband", "median", "none"]
SCHEDULED: dict[str, dict[str, Any]] = {
    **{pruner: {"pruner": pruner} for pruner in RULES},
    "pbt": {"schedule": "pbt", "perturbation_interval": 1},
}
"""Rules, and a population, of which the other tests do not hold: all of its trials pause, the baseline and the best
too, and go on together."""

EVERY_KIND = {
    **CONDITIONAL,
    "weight_decay": Float(low=0.0, high=0.01, default=0.0005),
    "mosaic": Float(low=0.0, high=1.0, step=0.25, default=1.0),
    "close_mosaic": Integer(low=0, high=30, step=10, default=10),
    "nbs": Integer(low=1, high=64, log=True, default=64),
    "class_weights.a": Float(low=0.1, high=10.0, log=True, default=1.0),
    "class_weights.b": Float(low=0.1, high=10.0, log=True, default=1.0),
}
"""Floats and integers, logarithmic or in steps; choices of every type; conditions; groups of class weights."""
FIXED: dict[str, BaseDistribution] = {
    "fixed_number": FloatDistribution(0.5, 0.5),
    "fixed_choice": CategoricalDistribution(["only"]),
}
"""Parameters of one value, which a space has none of and a study of Optuna's may have."""


def draw_all(trial: optuna.Trial) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is suggested for the space, and for what is fixed."""
    fixed = {"fixed_number": trial.suggest_float("fixed_number", 0.5, 0.5)}
    return draw(trial, EVERY_KIND), {**fixed, "fixed_choice": trial.suggest_categorical("fixed_choice", ["only"])}


@cache
def drawn(count: int) -> list[tuple[dict[str, Any], dict[str, BaseDistribution]]]:
    """Random configurations of the space."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    params = [draw_all(study.ask()) for _ in range(count)]
    return [
        ({**each, **fixed}, {**{name: distribution(EVERY_KIND[name]) for name in each}, **FIXED})
        for each, fixed in params
    ]


def trials(
    count: int, state: Callable[[int], TrialState], value: Callable[[int], float], epochs: int = EPOCHS, **notes: Any
) -> list[FrozenTrial]:
    """Trials by number: ended ones have their best value, failed ones none. All but the first have the notes."""
    made = []
    for number, (params, distributions) in enumerate(drawn(count)):
        now, values = state(number), {epoch: value(number) * epoch for epoch in range(1, epochs + 1)}
        ended = now in (TrialState.COMPLETE, TrialState.PRUNED)
        made.append(
            FrozenTrial(
                number=number, state=now, value=max(values.values()) if ended else None, datetime_start=datetime.now(),
                datetime_complete=datetime.now() if now.is_finished() else None, params=params, trial_id=number,
                distributions=distributions, user_attrs=notes if number else {}, system_attrs={},
                intermediate_values=values,
            )
        )  # fmt: skip
    return made


def violating(past: list[FrozenTrial], always: float = 0.0) -> list[FrozenTrial]:
    """The same under two constraints, of which half of the trials violate one."""
    for trial in past:
        violations = [always, max(0.0, math.cos(trial.number))]
        trial.system_attrs = attrs_of(dict.fromkeys(trial.intermediate_values, violations), {}, violations)
    return past


def without_params(past: list[FrozenTrial]) -> list[FrozenTrial]:
    """The same where the failed ones have failed before anything was suggested."""
    for trial in past:
        if trial.state == TrialState.FAIL:
            trial.params, trial.distributions, trial.intermediate_values = {}, {}, {}
    return past


COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING
STUDIES: dict[str, Callable[[], list[FrozenTrial]]] = {
    "empty": list,
    "one trial": lambda: trials(1, lambda _: COMPLETE, float),
    "one running": lambda: trials(1, lambda _: RUNNING, float, epochs=0),
    "all failed": lambda: trials(20, lambda _: FAIL, float, epochs=1),
    "all infinite": lambda: trials(20, lambda n: COMPLETE if n % 2 else PRUNED, lambda _: math.inf),
    "all equal": lambda: trials(20, lambda _: COMPLETE, lambda _: 0.5),
    "all zero": lambda: trials(20, lambda n: PRUNED if n else COMPLETE, lambda _: 0.0),
    "all pruned": lambda: trials(20, lambda _: PRUNED, lambda n: math.sin(n), epochs=2),
    "NaN": lambda: trials(20, lambda n: FAIL if n % 2 else COMPLETE, lambda n: math.nan if n % 2 else 1.0 + n),
    "half failed at once": lambda: trials(10, lambda _: COMPLETE, float) + trials(20, lambda _: FAIL, float, 0)[10:],
    "paused": lambda: trials(20, lambda n: RUNNING if n else COMPLETE, lambda n: math.sin(n), epochs=2, **{PAUSED: 2}),
    "violated": lambda: violating(trials(20, lambda n: COMPLETE if n % 3 else PRUNED, lambda n: math.sin(n))),
    "all violated": lambda: violating(trials(20, lambda _: COMPLETE, lambda n: math.sin(n)), always=1.0),
    "huge": lambda: trials(20, lambda _: COMPLETE, lambda n: (-1.0) ** n * 1e300 / 10),
    "64 pending": lambda: trials(84, lambda n: RUNNING if n >= 20 else COMPLETE, lambda n: math.sin(n), epochs=2),
    "failed before any parameter": lambda: without_params(
        trials(20, lambda n: FAIL if n % 3 == 2 else COMPLETE, lambda n: math.sin(n))
    ),
    "all failed before any parameter": lambda: without_params(trials(20, lambda _: FAIL, float)),
    "out of step": lambda: (
        trials(12, lambda n: RUNNING if n else COMPLETE, math.sin, epochs=2)[:11]
        + trials(12, lambda _: RUNNING, math.sin, epochs=5)[11:]
    ),
    "a thousand": lambda: trials(1000, lambda n: (COMPLETE, PRUNED, PRUNED, FAIL)[n % 4], lambda n: math.sin(n)),
}


def of_two_objectives(past: list[FrozenTrial]) -> list[FrozenTrial]:
    """The same with a second objective, which goes against the first in two trials of three."""
    for trial in past:
        way = 1 if trial.number % 3 == 0 else -1
        others = {epoch: [way * value] for epoch, value in trial.intermediate_values.items()}
        trial.system_attrs = attrs_of(violations_of(trial), others, told(trial))
        trial.values = None if trial.values is None else [trial.values[0], way * trial.values[0]]
    return past


def suggest(asked: Space, past: list[FrozenTrial]) -> dict[str, Any]:
    """What the sampler of a space suggests after these trials, as the product asks it."""
    suggester = suggester_of(asked)
    shown = suggester.shown(past)
    directions = ["maximize"] * len(asked.objectives)
    study = optuna.create_study(directions=directions, sampler=suggester.sampler(len(past)))
    study.add_trials(past if shown is None else shown)
    params, fixed = draw_all(study.ask())
    assert fixed == {"fixed_number": 0.5, "fixed_choice": "only"}
    return params


ROWS = [
    (sampler, objectives, kind)
    for sampler in SAMPLERS
    for objectives in (1, 2)
    for kind in STUDIES
    if (sampler != "cmaes" or objectives == 1) and (sampler != "gp" or kind in QUICK)
]


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("sampler", "objectives", "kind"), ROWS)
def test_a_sampler_suggests_what_the_space_allows_and_again_the_same(sampler: str, objectives: int, kind: str) -> None:
    if sampler == "cmaes" and importlib.util.find_spec("cmaes") is None:
        pytest.skip("the package cmaes is not installed")
    asked = space(EVERY_KIND, sampler=sampler, sampler_args=SAMPLERS[sampler], seed=3)
    past = STUDIES[kind]()
    if objectives > 1:
        asked, past = asked.model_copy(update={"fitness": ["mAP50", "recall"]}), of_two_objectives(past)
    params = suggest(asked, past)
    check_trial(EVERY_KIND, params)
    assert suggest(asked, past) == params


def test_auto_takes_paused_trials_for_ended_ones() -> None:
    """And not for running ones, which it expects something of."""
    asked, paused = space(EVERY_KIND, seed=3), STUDIES["paused"]()
    ended = [as_pruned(trial) if is_paused(trial) else trial for trial in paused]
    running = trials(20, lambda n: RUNNING if n else COMPLETE, lambda n: math.sin(n), epochs=2)
    assert suggest(asked, paused) == suggest(asked, ended) != suggest(asked, running)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("kind", STUDIES)
@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("name", SCHEDULED)
def test_a_rule_decides_alike_whenever_it_is_asked(name: str, objectives: int, kind: str) -> None:
    """And never gives up the baseline, whoever has failed; who is promoted was paused."""
    rule = decider_of(space(EVERY_KIND, **SCHEDULED[name]))
    views = [view_of(trial) for trial in (of_two_objectives if objectives > 1 else list)(STUDIES[kind]())]
    before = repr(views)
    for view in views[:100]:
        first = rule.decide(view.number, view.last_epoch, views)
        assert isinstance(first, bool)
        assert first is rule.decide(view.number, view.last_epoch, views)
        assert not (first and view.number == BASELINE) or isinstance(rule, Population)
    promoted = rule.promote(views)
    assert promoted is None or (rule.pauses and views[promoted].state == "paused")
    assert rule.promote(views) == promoted
    assert repr(views) == before


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("pruner", RULES)
def test_a_rule_never_gives_up_the_best_of_all(pruner: str, objectives: int) -> None:
    """Of several objectives, the best by the first."""
    rule = decider_of(space(EVERY_KIND, pruner=pruner))
    rng = np.random.default_rng(0)
    for count in (2, 3, 10, 40):
        heights = [float(height) for height in rng.random(count)]
        views = [
            TrialView(
                n, "complete" if n < 6 else "running", {}, {e: h * e for e in range(1, 5)}, h * 4,
                others={e: [float(rng.random())] for e in range(1, 5)} if objectives > 1 else {},
            )
            for n, h in enumerate(heights)
        ]  # fmt: skip
        assert rule.decide(heights.index(max(heights)), 4, views) is False
        assert any(rule.decide(n, 4, views) for n in range(count)) or pruner in ("none", "hyperband", "median")


@pytest.mark.parametrize("others", [{}, {epoch: [1.0] for epoch in range(1, 5)}], ids=["one", "two"])
@pytest.mark.parametrize("pruner", RULES)
def test_a_rule_lets_equals_go_on_or_pauses_all_but_a_share(pruner: str, others: dict[int, list[float]]) -> None:
    rule = decider_of(space(EVERY_KIND, pruner=pruner))
    views = [TrialView(n, "running", {}, dict.fromkeys(range(1, 5), 0.5), 0.5, others=others) for n in range(12)]
    given_up = sum(rule.decide(view.number, 4, views) for view in views)
    assert given_up == (6 if rule.pauses else 0), "with a reduction factor of two"


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("pruner", [pruner for pruner in RULES if decider_of(space(pruner=pruner)).pauses])
def test_a_rule_that_pauses_lets_the_best_go_on_one_after_the_other(pruner: str, objectives: int) -> None:
    """Of several objectives, the best by the first comes first; and each once."""
    rule = decider_of(space(EVERY_KIND, pruner=pruner))
    rng = np.random.default_rng(1)
    heights = [float(height) for height in rng.random(12)]
    others = [{e: [float(rng.random())] for e in (1, 2)} if objectives > 1 else {} for _ in heights]
    views = [
        TrialView(n, "paused", {}, {1: h, 2: h}, h, notes={PAUSED: 2}, others=others[n]) for n, h in enumerate(heights)
    ]
    went_on: list[int] = []
    while (number := rule.promote(views)) is not None:
        went_on.append(number)
        views[number] = replace(views[number], state="running", notes={PAUSED: 2, PROMOTED: 2})
    order = sorted(range(12), key=lambda n: -heights[n])
    assert went_on[0] == order[0]
    assert len(went_on) == len(set(went_on)) == 6
    assert went_on == order[:6] or objectives > 1

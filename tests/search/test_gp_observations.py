"""Which rows the process sees of which trials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from raytrainer.search.gp.curves import Curves, epochs_to_look_at
from raytrainer.search.gp.failures import NOISE, furthest_apart, noise_of
from raytrainer.search.gp.observations import (
    MOST,
    MOST_FAILURES,
    Observations,
    longest,
    normal_scores,
    observe,
)


def trial(values: dict[int, float], state: TrialState = TrialState.RUNNING, value: float | None = None) -> FrozenTrial:
    told: Any = value if state != TrialState.COMPLETE or value is not None else max(values.values())
    return create_trial(state=state, value=told, intermediate_values=values)


COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


@pytest.mark.parametrize(("full", "expected"), [(52, [1, 2, 6, 17, 52]), (9, [1, 3, 9]), (2, [1, 2]), (1, [1])])
def test_epochs_are_looked_at_in_geometric_progression(full: int, expected: list[int]) -> None:
    assert epochs_to_look_at(full) == tuple(expected)


@pytest.mark.parametrize(
    ("one", "epochs"),
    [
        (trial({1: 0.1, 2: 0.3, 3: 0.2, 4: 0.4}), [1, 3, 4]),
        (trial({2: 0.1, 5: 0.3, 9: 0.4}), [2, 9]),
        (trial({1: 0.1, 2: math.nan, 3: math.inf}, PRUNED, 0.1), [1]),
        (trial({}, COMPLETE, 0.5), [9]),
        (trial({}, PRUNED, None), [9]),
        (trial({3: math.nan}, PRUNED, None), [9]),
        (trial({1: 0.9, 3: 0.9}, FAIL), [9]),
        (trial({}), []),
        (trial({2: math.nan}), []),
        (trial({0: 0.1}, COMPLETE), [0]),
    ],
)
def test_rows_of_one_trial(one: FrozenTrial, epochs: list[int]) -> None:
    seen = observe([one], sign=1.0, full=9)
    assert np.expm1(seen.fidelity * math.log1p(9)) == pytest.approx(epochs)


@pytest.mark.parametrize("seed", range(20))
def test_at_each_epoch_looked_at_it_is_the_last_of_the_best_by_then(seed: int) -> None:
    rng, full = np.random.default_rng(seed), 9
    by_trial = [
        {int(epoch): float(rng.integers(4)) for epoch in rng.permutation(13)[: rng.integers(13)]} for _ in range(6)
    ]
    expected = []
    for owner, curve in enumerate(by_trial):
        looks = {max((at for at in curve if at <= level), default=None) for level in (1, 3, 9, 99)} - {None}
        for look in sorted(look for look in looks if look is not None):
            best = max((value, at) for at, value in curve.items() if at <= look)[1]
            expected.append((owner, look, best))
    curves = Curves.of([{at: (value, at) for at, value in curve.items()} for curve in by_trial])
    found = curves.best_by_then(curves.value[:, 0], full)
    assert list(zip(found.owner, found.epoch, found.value[:, 1], strict=True)) == expected


def test_a_curve_counts_by_its_best_so_far_in_either_direction() -> None:
    curves = [trial({1: 0.5, 3: 0.1, 9: 0.3}), trial({1: 0.2, 3: 0.4, 9: 0.3})]
    larger, smaller = observe(curves, 1.0, 9), observe(curves, -1.0, 9)
    assert larger.score[0] == larger.score[1] == larger.score[2] > larger.score[4] == larger.score[5] > larger.score[3]
    assert smaller.score[1] == smaller.score[2] > smaller.score[3] == smaller.score[5] > smaller.score[0]


@pytest.mark.parametrize(("state", "last"), [(COMPLETE, 0.1), (PRUNED, 0.7)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_a_complete_trial_is_worth_is_its_value(state: TrialState, last: float, sign: float) -> None:
    seen = observe([trial({1: sign * 0.5, 3: sign * 0.7}, state, sign * 0.1)], sign, 9)
    assert seen.value.tolist() == [0.5, last]


def test_failures_are_as_bad_as_the_worst_but_less_sure() -> None:
    far_apart = np.array([[0.0], [9.0], [0.0]])
    seen = observe([trial({9: 0.2}), trial({}, FAIL), trial({9: 0.8})], 1.0, 9, inputs=far_apart)
    assert seen.owner.tolist() == [0, 2, 1]
    assert seen.score[2] == seen.score[0] < seen.score[1]
    assert seen.extra_noise.tolist() == [0, 0, NOISE]


@pytest.mark.parametrize(("failed", "fine", "times"), [(1, 0, 1.0), (5, 0, 1.0), (1, 9, 10.0), (5, 5, 2.0)])
def test_a_failure_is_the_less_sure_the_more_trials_beside_it_did_not_fail(
    failed: int, fine: int, times: float
) -> None:
    one_place, far_away = np.full((failed + fine, 2), 0.4), np.full((20, 2), 9.0)
    noise = noise_of(one_place[:failed], one_place[:failed], np.concatenate([one_place[failed:], far_away]))
    assert noise == pytest.approx(np.full(failed, times * NOISE))


def test_failures_of_a_long_study_are_kept_where_they_differ_most() -> None:
    failing = [trial({}, FAIL) for _ in range(200)]
    inputs = np.concatenate([np.zeros((1000, 1)), 0.5 + np.arange(200)[:, None] % 40 / 80])
    seen = observe(
        [trial({3: number / 1000, 9: number / 1000 + 1}) for number in range(1000)] + failing, 1.0, 9, inputs=inputs
    )
    kept = seen.owner[seen.owner >= 1000]
    assert len(seen) == MOST
    assert len(kept) == len(np.unique(inputs[kept])) == MOST_FAILURES
    assert set(range(1000 - MOST // 2, 1000)) <= set(seen.owner), "no less of the best"


def test_of_points_the_furthest_apart_are_taken() -> None:
    line = np.array([[0.0], [0.1], [0.5], [0.6], [1.0]])
    kept = [furthest_apart(line, most).tolist() for most in (1, 2, 3, 9)]
    assert kept == [[4], [0, 4], [0, 2, 4], [0, 1, 2, 3, 4]]


def test_scores_are_normal_whatever_the_values_are() -> None:
    assert normal_scores(np.array([1e9, -1e-9, 3.0])) == pytest.approx([0.967, -0.967, 0.0], abs=1e-3)
    assert normal_scores(np.full(4, 0.7)).tolist() == [0, 0, 0, 0]


def test_rows_are_limited_and_the_best_are_kept() -> None:
    curves = [trial({3: number / 1000, 9: number / 1000 + 1}) for number in range(1000)]
    seen = observe(curves, 1.0, 9)
    assert len(seen) == MOST
    assert set(range(1000 - MOST // 2, 1000)) <= set(seen.owner)
    assert 0 in seen.owner
    assert seen.score.min() < -2


def test_without_a_given_length_the_longest_curve_is_a_full_run() -> None:
    assert longest([trial({1: 0.0, 7: 0.1}), trial({3: 0.1})]) == 7
    assert longest([]) == longest([trial({})]) == 1
    assert longest([trial({0: 0.1}), trial({})]) == 0
    assert observe([trial({0: 0.1})], 1.0, 0).fidelity.tolist() == [1.0]


def test_values_go_on_beyond_the_best_as_steeply_as_before_it() -> None:
    three = np.arange(3)
    seen = Observations(three, np.ones(3), np.array([0.0, 1.0, -1.0]), np.zeros(3), np.array([2.0, 4.0, 1.0]))
    assert seen.beyond(np.array([-5.0, -0.5, 0.5, 1.0, 1.5, 3.0])) == pytest.approx([1.0, 1.5, 3.0, 4.0, 5.0, 8.0])

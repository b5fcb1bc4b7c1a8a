"""The ranking puts first what the study calls its best, and treats equals alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrainer.results.ranking import baseline, ranking
from raytrainer.search.views import TrialView, best_of

from .trials import trial

CASES: list[tuple[str, list[TrialView], list[int]]] = [
    ("nothing yet", [], []),
    ("no epoch yet", [trial(0, "running")], []),
    ("higher first", [trial(0, curve=(0.1,)), trial(1, curve=(0.3,)), trial(2, curve=(0.2,))], [1, 2, 0]),
    ("the best epoch counts, not the last", [trial(0, curve=(0.1, 0.2)), trial(1, curve=(0.3, 0.1))], [1, 0]),
    ("equals by number", [trial(1, curve=(0.2,)), trial(0, curve=(0.2,))], [0, 1]),
    ("a whole training before a stopped one", [trial(0, "pruned", (0.5,)), trial(1, curve=(0.1, 0.1))], [1, 0]),
    ("running and pruned alike", [trial(0, "pruned", (0.1,)), trial(1, "running", (0.2,))], [1, 0]),
    ("a failed one never", [trial(0, "failed", (0.9,)), trial(1, "pruned", (0.1,))], [1]),
    ("negative fitness", [trial(0, curve=(-2.0,)), trial(1, curve=(-1.0,))], [1, 0]),
]


@pytest.mark.parametrize(("views", "numbers"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_order(views: list[TrialView], numbers: list[int]) -> None:
    assert [view.number for view in ranking(views)] == numbers


STATES = st.sampled_from(["running", "complete", "pruned", "failed"])
CURVES = st.lists(st.floats(-1, 1), max_size=3).map(tuple)


@given(st.lists(st.tuples(STATES, CURVES), max_size=8))
def test_first_is_the_best_of_the_study(rows: list[tuple[str, tuple[float, ...]]]) -> None:
    views = [trial(number, state, curve) for number, (state, curve) in enumerate(rows)]  # type: ignore[arg-type]
    assert next(iter(ranking(views)), None) == best_of(views)


def test_the_baseline_is_trial_0() -> None:
    assert baseline([trial(1), trial(0, "failed")]) == trial(0, "failed")
    assert baseline([]) is None

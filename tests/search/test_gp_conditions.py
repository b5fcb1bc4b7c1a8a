"""Conditions are learnt from what was seen, and only where one parameter or two explain them."""

from __future__ import annotations

import numpy as np
import pytest

from raytrainer.search.gp.conditions import learn_conditions

NAN = np.nan
#          optimizer, momentum (beside 0.25), beta (beside 0.75), nesterov (beside momentum's 0.9)
SEEN = [
    [0.25, 0.9, NAN, 0.3],
    [0.75, NAN, 0.4, NAN],
    [0.25, 0.1, NAN, NAN],
    [0.75, NAN, 0.6, NAN],
]


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        ([0.25, 0.9, 0.5, 0.5], [0.25, 0.9, NAN, 0.5]),
        ([0.75, 0.9, 0.5, 0.5], [0.75, NAN, 0.5, NAN]),
        ([0.25, 0.1, 0.5, 0.5], [0.25, 0.1, NAN, NAN]),
    ],
)
def test_children_go_where_their_parents_forbid_them(candidate: list[float], expected: list[float]) -> None:
    points = np.array([candidate])
    for condition in learn_conditions(np.array(SEEN), parents=[0, 1]):
        condition.apply(points)
    assert points[0] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("seen", "parents"),
    [
        ([[0.5, 0.1], [0.5, 0.2]], [0]),  # nothing is ever absent
        ([[0.5, NAN], [0.5, 0.2]], [0]),  # the same parent with and without
        ([[0.1, NAN], [0.9, 0.2]], []),  # nobody may be the parent
        ([[NAN, 0.1], [0.9, NAN]], [0]),  # the child is there without the parent
    ],
)
def test_what_is_not_explained_counts_as_there(seen: list[list[float]], parents: list[int]) -> None:
    points = np.array([[0.5, 0.5], [0.1, 0.9]])
    for condition in learn_conditions(np.array(seen), parents):
        condition.apply(points)
    assert points[:, 1].tolist() == [0.5, 0.9]


@pytest.mark.parametrize("forbidding", [[0.9, 0.1], [0.1, 0.9], [0.1, 0.1]])
def test_two_parents_may_explain_what_neither_does_alone(forbidding: list[float]) -> None:
    seen = [[a, b, 0.5 if a == b == 0.9 else NAN] for a in (0.1, 0.9) for b in (0.1, 0.9)]
    (condition,) = learn_conditions(np.array(seen), [0, 1])
    points = np.array([[0.9, 0.9, 0.3], [*forbidding, 0.3]])
    condition.apply(points)
    assert np.isnan(points[:, 2]).tolist() == [False, True]

"""The front, and the order of vectors at a rung."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from raytrainer.search.front import front, places
from raytrainer.search.standings import standings
from raytrainer.search.views import State, TrialView, best_of

NEARLY = math.nextafter(0.19, 1)


@pytest.mark.parametrize(
    ("vectors", "order"),
    [
        ([(1, 0), (0, 1), (2, 2)], [2, 0, 1]),  # by layer, and in one the best first objective before what is far away
        ([(3, 0), (2, 2), (0, 3), (1.9, 2.1)], [0, 2, 1, 3]),  # far from those before: the ends, then the middle
        ([(3, 0), (2, 900), (0, 1000), (2.1, 100)], [0, 2, 1, 3]),  # distances are shares of the ranges
        ([(1, 1), (1, 1), (0, 2)], [0, 1, 2]),  # equals are equal
        ([(5, 1), (4, 1), (3, 1)], [0, 1, 2]),  # one that all agree in
        ([(2, -2), (NEARLY, -NEARLY), (0.19, -0.19), (-0.6, 0.6)], [0, 3, 2, 1]),  # no distance between, for floats
        ([(1, 2, 3), (3, 2, 1), (0, 0, 0), (1, 2, 2)], [1, 0, 3, 2]),
    ],
)
def test_the_order_of_vectors(vectors: list[tuple[float, ...]], order: list[int]) -> None:
    place = places(vectors)
    assert sorted(range(len(vectors)), key=lambda n: (-place[n], n)) == order
    assert len(set(place)) == len(set(vectors))


def view(number: int, *vector: float, state: State = "complete", violated: Sequence[float] = ()) -> TrialView:
    fitness, *others = vector
    violations = {1: violated} if violated else {}
    return TrialView(
        number, state, {}, {1: fitness}, fitness, 1, violations=violations, others={1: others} if others else {}
    )


@pytest.mark.parametrize(
    ("views", "members"),
    [
        ([view(0, 1, 5), view(1, 2, 4), view(2, 2, 3), view(3, 3, 0), view(4, 0, 4)], [3, 1, 0]),
        ([view(0, 1, 5), view(1, 9, 9, state="pruned"), view(2, 9, 9, state="failed")], [0]),
        ([view(0, 1, 5, state="pruned"), view(1, 2, 2, state="running")], [1, 0]),
        ([view(0, 1, 1), view(1, 1, 1), view(2, 1, 0)], [0]),  # of equals the first, of equal fitness the better rest
        ([view(0, 1, 0), view(1, 1, 1)], [1]),
        ([view(0, 9, 9, violated=[0.1]), view(1, 1, 2, violated=[-1]), view(2, 2, 1, violated=[0])], [2, 1]),
        ([view(0, 9, 1, violated=[0.2]), view(1, 1, 9, violated=[0.1])], [1]),
        ([view(0, 9, 9, violated=[0.1]), view(1, 1, 1, violated=[0], state="pruned")], [1]),
        ([view(0, 1), view(1, 3), view(2, 2)], [1]),  # one objective
        ([view(0, 1, 5, state="failed")], []),
    ],
)
def test_the_front(views: list[TrialView], members: list[int]) -> None:
    found = front(views)
    assert [each.number for each in found] == members
    assert best_of(views) == (found[0] if found else None)


def test_trials_are_compared_at_the_epoch_of_their_best_fitness_by_then() -> None:
    rising = TrialView(0, "running", {}, {1: 0.1, 2: 0.9}, 0.9, 2, others={1: [5.0], 2: [-5.0]})
    steady = TrialView(1, "running", {}, {1: 0.2, 2: 0.1}, 0.2, 1, others={1: [1.0], 2: [9.0]})
    beaten = TrialView(2, "running", {}, {1: 0.1, 2: 0.2}, 0.2, 2, others={1: [0.0], 2: [0.0]})
    by = {epoch: standings([rising, steady, beaten], epoch) for epoch in (1, 2)}
    assert [sorted(each, key=lambda n: -each[n]) for each in by.values()] == [[1, 0, 2], [0, 1, 2]]
    assert (rising.objectives, steady.objectives_at(2)) == ((0.9, -5.0), (0.2, 1.0))


def test_constraints_go_before_all_objectives() -> None:
    violated = {0: 0.5, 1: -0.1, 2: 0.0, 3: 0.2}
    views = [view(n, 9 - n, -n % 2, violated=[by]) for n, by in violated.items()]
    there = standings(views, 1)
    assert sorted(there, key=lambda n: -there[n]) == [1, 2, 3, 0]

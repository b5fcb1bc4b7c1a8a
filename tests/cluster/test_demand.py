"""How many reservations wait for nodes, by what an autoscaler says; with Ray's own in `test_scaling.py`."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from raytrainer.cluster import demand
from raytrainer.cluster.demand import MOST, Demand, Verdict


@dataclass(frozen=True)
class Group:
    """Stands in for a placement group."""

    number: int

    @property
    def id(self) -> bytes:
        return bytes([self.number])


class Ray:
    """Stands in for a cluster that holds some groups and refuses others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[Group] = []
        self.made, self.held, self.refused = 0, set[int](), set[int]()
        monkeypatch.setattr(demand, "remove_placement_group", self.groups.remove)
        monkeypatch.setattr(demand, "placement_group_table", self.state)
        monkeypatch.setattr(
            demand, "verdict", lambda: Verdict(frozenset(Group(n).id.hex() for n in self.refused), False)
        )

    def reserve(self) -> Group:
        self.made += 1
        self.groups.append(Group(self.made))
        return self.groups[-1]

    def state(self, group: Group) -> dict[str, str]:
        return {"state": "CREATED" if group.number in self.held else "PENDING"}

    @property
    def waiting(self) -> list[int]:
        return [group.number for group in self.groups]


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    return Ray(monkeypatch)


def test_as_many_wait_as_are_wanted_if_nodes_may_come(ray: Ray) -> None:
    asked = Demand(ray.reserve)  # type: ignore[arg-type]
    asked.want(3)
    assert ray.waiting == [1], "one first, to hear what is said of it"
    asked.want(3)
    assert ray.waiting == [1, 2, 3]
    ray.refused = {3}
    asked.want(3)
    assert ray.waiting == [1, 2, 3], "there is a node to come for the others"
    ray.refused = {1, 2, 3}
    asked.want(3)
    assert ray.waiting == [1]
    ray.refused = set()
    asked.want(1000)
    assert len(ray.waiting) == MOST
    asked.want(-2)
    assert ray.waiting == []


def test_a_trial_takes_what_is_held_and_else_what_has_waited_longest(ray: Ray) -> None:
    asked = Demand(ray.reserve)  # type: ignore[arg-type]
    asked.want(1)
    asked.want(3)
    ray.held = {2}
    assert asked.ready
    assert asked.take() == Group(2)
    assert not asked.ready
    assert [asked.take(), asked.take(), asked.take()] == [Group(1), Group(3), Group(4)]
    assert ray.waiting == [1, 2, 3, 4], "they are the trials' now"


def test_none_competes_with_a_trials_own(ray: Ray) -> None:
    """Else a node that comes free may be held for a trial that nobody starts, while a trial waits for it."""
    asked = Demand(ray.reserve)  # type: ignore[arg-type]
    own = asked.take()
    asked.want(1)
    assert ray.groups == [own]
    asked.want(3)
    assert len(ray.waiting) == 2, "the autoscaler hears of as many as are wanted"
    ray.held = {own.number}  # type: ignore[attr-defined]
    asked.want(1)
    assert len(ray.waiting) == 2
    asked.want(0)
    assert ray.groups == [own]

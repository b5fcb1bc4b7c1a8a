"""Trials at once follow the nodes that are there."""

from __future__ import annotations

from typing import Any

import pytest

from raytrainer.cluster import capacity
from raytrainer.cluster.capacity import Capacity
from raytrainer.cluster.plan import plan

from .test_plan import space

NODE = {"CPU": 4.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("resources", "nodes", "expected"),
    [
        ({"gpus": 1}, [1, 1, 3, 2, 0, 1], [6, 4, 1, 2]),
        ({"gpus": 1, "max_concurrent": 3}, [1, 4, 1], [3, 2]),
        ({"ranks": 4, "gpus_per_rank": 0.5}, [1, 2, 1], [2, 1]),
    ],
    ids=["grows and shrinks", "at most", "ranks"],
)
def test_the_limit_is_told_whenever_it_is_another_one(
    resources: dict[str, Any], nodes: list[int], expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "SECONDS", 0.0)
    asked, there, told = space(**resources), [NODE], []
    watched = Capacity(asked, plan(asked, there), lambda: there, told.append)
    for count in nodes:
        there = [NODE] * count
        watched.on_step_begin(0, [])
    assert told == expected

"""At which epochs trials are compared, and when the first of them comes."""

from __future__ import annotations

from typing import Any

import pytest

from raytrainer.config.space import Categorical, Float, Integer, Search, Space
from raytrainer.search.rungs import first_rung, full_length, rungs, rungs_of


@pytest.mark.parametrize(
    ("first", "last", "factor", "expected"),
    [
        (1, 9, 3, (1, 3)),
        (1, 10, 3, (1, 3, 9)),
        (4, 100, 3, (4, 12, 36)),
        (2, 2, 3, ()),
        (5, 3, 3, ()),
        (3, 4, 2, (3,)),
    ],
)
def test_rungs(first: int, last: int, factor: int, expected: tuple[int, ...]) -> None:
    assert rungs(first, last, factor) == expected


@pytest.mark.parametrize(("first", "factor"), [(0, 3), (1, 1)])
def test_impossible_rungs(first: int, factor: int) -> None:
    with pytest.raises(ValueError, match="at least 1 and 2"):
        rungs(first, 10, factor)


@pytest.mark.parametrize(
    ("train", "trainer", "searched", "first", "length"),
    [
        ({}, {}, {}, 4, 100),  # Ultralytics' 3 epochs of warm-up
        ({"epochs": 300}, {}, {}, 12, 300),
        ({"epochs": 8, "warmup_epochs": 0}, {}, {}, 1, 8),
        ({"epochs": 8, "warmup_epochs": 1.5}, {}, {}, 3, 8),
        ({"epochs": 20}, {"freeze": "backbone", "unfreeze_epoch": 6}, {}, 7, 20),
        ({"epochs": 20}, {"unfreeze_epoch": None}, {}, 4, 20),
        ({"epochs": 20}, {}, {"warmup_epochs": Float(low=0.0, high=5.0)}, 6, 20),
        ({"epochs": 20}, {}, {"unfreeze_epoch": Integer(low=1, high=9)}, 10, 20),
        ({"epochs": 20}, {}, {"unfreeze_epoch": Categorical(choices=[None, 4, 8])}, 9, 20),
        ({"warmup_epochs": 0}, {}, {"epochs": Categorical(choices=[10, 50])}, 2, 50),
    ],
)
def test_the_first_rung_comes_after_what_tells_little(
    train: dict[str, Any], trainer: dict[str, Any], searched: dict[str, Any], first: int, length: int
) -> None:
    space = Space(model="m", data="d", train=train, trainer=trainer, space=searched)
    assert (first_rung(space), full_length(space)) == (first, length)


def test_min_epochs_is_the_first_rung() -> None:
    space = Space(model="m", data="d", train={"epochs": 20}, search=Search(min_epochs=2))
    assert rungs_of(space) == (2, 6, 18)

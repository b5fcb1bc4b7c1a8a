"""At which epochs trials are compared, and when the first of them comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from raytrainer.config.settings import Settings
from raytrainer.config.space import Categorical, Float, Integer, Search, Space
from raytrainer.search.grace import unfrozen
from raytrainer.search.rungs import first_rung, full_length, rungs, rungs_of
from raytrainer.trainer.freeze import frozen_modules, still_frozen

SLOW = {"epochs": 40, "warmup_epochs": 0}


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
        # Layer by layer: the topmost from epoch 5 on, the lowest of so many from 5 + 3 * (so many - 1) on.
        (SLOW, {"freeze": 4, "unfreeze_epoch": 4, "unfreeze_every": 3}, {}, 14, 40),
        (SLOW, {"freeze": 1, "unfreeze_epoch": 4, "unfreeze_every": 3}, {}, 5, 40),
        (SLOW, {"freeze": "backbone", "unfreeze_epoch": 4, "unfreeze_every": 3}, {}, 20, 40),
        (SLOW, {"freeze": ["model.22.cv3", "22.cv2", 3], "unfreeze_epoch": 4, "unfreeze_every": 3}, {}, 8, 40),
        (SLOW, {"freeze": ["backbone", 5, "6"], "unfreeze_epoch": 4, "unfreeze_every": 3}, {}, 23, 40),
        ({**SLOW, "freeze": 3}, {"unfreeze_epoch": 0, "unfreeze_every": 2}, {}, 5, 40),
        (SLOW, {"freeze": "head", "unfreeze_epoch": 4, "unfreeze_every": 3}, {}, 5, 40),  # a mistake told elsewhere
        (SLOW, {"freeze": 4, "unfreeze_epoch": 4}, {"unfreeze_every": Integer(low=1, high=5)}, 20, 40),
        (
            SLOW,
            {"unfreeze_epoch": 4, "unfreeze_every": 3},
            {"freeze": Categorical(choices=[None, "backbone", 2])},
            20,
            40,
        ),
        (SLOW, {"unfreeze_epoch": 4, "unfreeze_every": 3}, {"freeze": Integer(low=0, high=4)}, 14, 40),
    ],
)
def test_the_first_rung_comes_after_what_tells_little(
    train: dict[str, Any], trainer: dict[str, Any], searched: dict[str, Any], first: int, length: int, yolo_tiny: Path
) -> None:
    space = Space(model=str(yolo_tiny), data="d", train=train, trainer=trainer, space=searched)
    assert (first_rung(space), full_length(space)) == (first, length)


def test_min_epochs_is_the_first_rung() -> None:
    space = Space(model="m", data="d", train={"epochs": 20}, search=Search(min_epochs=2))
    assert rungs_of(space) == (2, 6, 18)


@pytest.mark.parametrize("every", [None, 1, 4])
@pytest.mark.parametrize("freeze", [2, "backbone", ["5", "model.6.cv2", "6.cv3"], []])
def test_the_trainer_has_unfrozen_all_layers_by_then_and_not_before(
    freeze: Any, every: int | None, yolo_tiny: Path
) -> None:
    settings = Settings(freeze=freeze, unfreeze_epoch=3, unfreeze_every=every)
    given = {"freeze": freeze, "unfreeze_epoch": 3, "unfreeze_every": every}
    by = unfrozen(Space(model=str(yolo_tiny), data="d", trainer=given))
    model = nn.Module()
    model.model = nn.Sequential(*(nn.ModuleDict({name: nn.Linear(1, 1) for name in ("cv2", "cv3")}) for _ in range(7)))
    frozen = frozen_modules(model, freeze, backbone=6)
    assert still_frozen(frozen, by, settings) == []
    assert bool(still_frozen(frozen, by - 1, settings)) == bool(frozen)

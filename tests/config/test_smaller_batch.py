"""Half the batch makes the same optimizer steps, as Ultralytics computes them."""

from __future__ import annotations

from typing import Any

import pytest

from raytrainer.config.smaller_batch import halved
from raytrainer.config.ultralytics_arguments import defaults


@pytest.mark.parametrize(
    ("train", "ranks", "smaller"),
    [
        ({"batch": 16}, 1, {"batch": 8}),
        ({}, 1, {"batch": 8}),
        ({"batch": 7}, 1, {"batch": 3}),
        ({"batch": 12}, 4, {"batch": 4}),
        ({"batch": 64}, 2, {"batch": 32}),
        ({"batch": 128, "weight_decay": 0.01}, 1, {"batch": 64, "nbs": 128, "weight_decay": 0.02}),
        ({"batch": 32, "nbs": 16, "weight_decay": 0.01}, 1, {"batch": 16, "nbs": 32, "weight_decay": 0.02}),
        ({"batch": 1}, 1, None),
        ({"batch": 3}, 2, None),
        ({"batch": -1}, 1, None),
        ({"batch": 0.7}, 1, None),
    ],
)
def test_halves_what_can_be_halved(train: dict[str, Any], ranks: int, smaller: dict[str, Any] | None) -> None:
    assert halved(train, ranks) == smaller


@pytest.mark.parametrize("batch", [8, 16, 32, 64, 128, 256])
def test_the_images_of_a_step_and_their_weight_decay_stay(batch: int) -> None:
    before = {**defaults(), "batch": batch}
    after = {**before, **(halved(before) or {})}
    assert after["batch"] == batch // 2
    assert step(after) == pytest.approx(step(before))


def step(train: dict[str, Any]) -> tuple[float, float]:
    """Images of an optimizer step, and its weight decay; as in `BaseTrainer._setup_train` of 8.4.190."""
    accumulate = max(round(train["nbs"] / train["batch"]), 1)
    images = train["batch"] * accumulate
    return images, train["weight_decay"] * images / train["nbs"]

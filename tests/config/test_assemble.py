"""One trial's configuration from a space and its values."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from raytrainer.config.assemble import assemble, defaults
from raytrainer.config.parameters import Categorical, Float, Integer
from raytrainer.config.settings import Settings
from raytrainer.config.space import Search, Space

SPACE = Space(
    model="yolo11n.pt",
    data="cells.yaml",
    fitness="mean(F1)",
    train={"optimizer": "AdamW", "imgsz": 64},
    trainer={"class_weights": {"cat": 2.0}, "sync_bn": "auto"},
    search=Search(seed=7),
    space={
        "lr0": Float(low=1e-4, high=1e-2, log=True),
        "close_mosaic": Integer(low=1, high=5),
        "freeze": Categorical(choices=[None, "backbone", 3]),
        "unfreeze_epoch": Integer(low=1, high=5, when={"freeze": ["backbone", 3]}),
        "class_weights.dog": Float(low=1, high=5),
        "class_weights.St. Bernard": Float(low=1, high=5),
    },
)


def test_values_go_where_they_belong() -> None:
    params = {"lr0": 0.001, "close_mosaic": 2, "freeze": 3, "unfreeze_epoch": 2, "class_weights.dog": 3.0,
              "class_weights.St. Bernard": 4.0}  # fmt: skip
    config = assemble(SPACE, params)
    assert config.model == "yolo11n.pt"
    assert config.train == {
        "epochs": 100, "seed": 7, "optimizer": "AdamW", "imgsz": 64, "data": "cells.yaml", "lr0": 0.001,
        "close_mosaic": 2,
    }  # fmt: skip
    weights = {"cat": 2.0, "dog": 3.0, "St. Bernard": 4.0}
    assert config.settings == Settings(
        freeze=3, unfreeze_epoch=2, class_weights=weights, sync_bn="auto", fitness="mean(F1)", on_nan="fail"
    )
    assert config.params == params
    assert type(config.train["close_mosaic"]) is int


def test_inactive_parameters_keep_what_is_fixed_or_stock() -> None:
    config = assemble(SPACE, {"lr0": 0.001, "freeze": None})
    assert config.settings.freeze is None
    assert config.settings.unfreeze_epoch is None
    assert config.settings.class_weights == {"cat": 2.0}
    assert "close_mosaic" not in config.train


def test_defaults_make_a_trial() -> None:
    assert defaults(SPACE) == {
        "lr0": 0.001, "close_mosaic": 3, "freeze": None, "class_weights.dog": 3.0, "class_weights.St. Bernard": 3.0,
    }  # fmt: skip
    assert assemble(SPACE, defaults(SPACE)).settings.class_weights == {"cat": 2.0, "dog": 3.0, "St. Bernard": 3.0}


@pytest.mark.parametrize(
    ("space", "key", "value"),
    [
        (SPACE.model_copy(update={"train": {"seed": 3}}), "seed", 3),
        (SPACE.model_copy(update={"train": {"epochs": 5}}), "epochs", 5),
    ],
)
def test_what_is_fixed_comes_before_what_follows(space: Space, key: str, value: Any) -> None:
    assert assemble(space, {}).train[key] == value


def test_recovery_is_kept_if_it_is_asked_for() -> None:
    assert assemble(SPACE.model_copy(update={"trainer": {"on_nan": "recover"}}), {}).settings.on_nan == "recover"


@pytest.mark.parametrize(
    ("trainer", "train", "params", "kept"),
    [
        ({"class_weights_power": 0.5}, {}, {"class_weights": None}, {}),
        ({"class_weights_power": 0.5}, {}, {"class_weights": "inverse_frequency"}, {"class_weights_power": 0.5}),
        ({"positives_only": True}, {}, {"class_weights": None}, {}),
        ({"class_weight_offsets": {"cat": 0.5}}, {}, {"class_weights": None}, {}),
        ({"unfreeze_epoch": 2}, {}, {"freeze": None}, {}),
        ({"unfreeze_epoch": 2}, {}, {"freeze": 0}, {}),
        ({"unfreeze_epoch": 2}, {}, {"freeze": 3}, {"unfreeze_epoch": 2}),
        ({"unfreeze_epoch": 2}, {"freeze": 3}, {}, {"unfreeze_epoch": 2}),
    ],
)
def test_a_fixed_setting_that_does_nothing_beside_a_trials_values_is_left_out(
    trainer: dict[str, Any], train: dict[str, Any], params: dict[str, Any], kept: dict[str, Any]
) -> None:
    searched = {
        "class_weights": Categorical(choices=[None, "inverse_frequency"]),
        "freeze": Categorical(choices=[None, 0, 3]),
    }
    space = SPACE.model_copy(update={"space": searched, "trainer": trainer, "train": train})
    settings = assemble(space, params).settings.model_dump(exclude_unset=True)
    assert {key: value for key, value in settings.items() if key in trainer} == kept


def test_values_that_do_not_belong_are_refused() -> None:
    with pytest.raises(ValueError, match="not in the space: box, lr1"):
        assemble(SPACE, {"lr1": 1, "box": 2})
    with pytest.raises(ValidationError):
        assemble(SPACE, {"class_weights.dog": -1.0})

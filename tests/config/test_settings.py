"""The settings of a trainer are frozen, say what is wrong with a value, and come back from their YAML as they were."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from raytrainer.config.settings import NO_MATTER, Settings, idle

EVERY = Settings(
    backbone_lr_ratio=0.1, layer_decay=0.8, clip_grad_norm=0, clip_grad_value=0.5, freeze=["backbone", 22, "23.cv3"],
    unfreeze_epoch=2, unfreeze_every=1, class_weights="inverse_frequency", class_weights_power=0.5,
    class_weight_offsets={"cat": 0.5}, normalize_class_weights=False, positives_only=True, sync_bn="auto",
    fitness="min(AP) - 1", on_nan="fail", subject_to=["latency_ms < 8"],
    checkpoint_every="10min",
)  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        EVERY,
        Settings(freeze=3, sync_bn=True, class_weights=[1.0, 2.0]),
        Settings(freeze="backbone", class_weights={"tall: man": 2.5}),
    ],
)
def test_they_come_back_from_their_yaml(settings: Settings) -> None:
    again = Settings.from_yaml(settings.to_yaml())
    assert again == settings
    assert again.difference(settings) == {}
    assert type(again.sync_bn) is type(settings.sync_bn)
    assert {line.partition(":")[0] for line in settings.to_yaml().splitlines() if line[0].isalpha()} == set(
        Settings.model_fields
    )


def test_every_field_of_the_example_is_another_one() -> None:
    assert EVERY.difference(Settings()).keys() == Settings.model_fields.keys() - NO_MATTER
    assert all(getattr(EVERY, field) != getattr(Settings(), field) for field in NO_MATTER)
    assert Settings().difference(Settings(freeze=3)) == {"freeze": (None, 3)}


def test_they_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        EVERY.freeze = 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backbone_lr_ratio", 0.0),
        ("backbone_lr_ratio", float("nan")),
        ("layer_decay", 1.1),
        ("clip_grad_norm", -1.0),
        ("clip_grad_norm", float("inf")),
        ("clip_grad_value", -0.1),
        ("freeze", -1),
        ("freeze", "neck"),
        ("unfreeze_epoch", -1),
        ("class_weights", {"cat": 0.0}),
        ("class_weights", "frequency"),
        ("class_weights_power", 3.0),
        ("sync_bn", "always"),
        ("on_nan", "ignore"),
        ("checkpoint_every", 0),
        ("checkpoint_every", "0min"),
        ("checkpoint_every", "10 minutes"),
        ("backbone_lr", 0.1),
    ],
)
def test_a_bad_value_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings.model_validate({field: value})


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"freeze": 3, "unfreeze_every": 1}, "unfreeze_every needs unfreeze_epoch, the epoch at which"),
        ({"class_weights_power": 0.5}, "class_weights_power needs class_weights: inverse_frequency"),
        ({"class_weights_power": 0.5, "class_weights": {"cat": 2.0}}, "class_weights_power needs class_weights: inv"),
        ({"positives_only": True}, "positives_only needs class_weights"),
        ({"normalize_class_weights": False, "class_weights": {}}, "normalize_class_weights needs class_weights"),
    ],
)
def test_what_would_do_nothing_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate(fields)
    assert len(idle(fields)) == 1


@pytest.mark.parametrize("field", ["class_weights_power", "normalize_class_weights", "positives_only"])
def test_a_default_that_is_written_out_is_no_contradiction(field: str) -> None:
    default = getattr(Settings(), field)
    assert Settings.model_validate({field: default}) == Settings()

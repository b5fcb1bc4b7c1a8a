"""Every rule of the table fires where it should, and not beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from raytrainer.config.check import check
from raytrainer.config.document import BY_CLASS, by_class
from raytrainer.config.load import load_space
from raytrainer.config.reserved import searched
from raytrainer.config.rules import RULES

RANGE = {"low": 0.1, "high": 0.5}
SWITCH = [True, False]

IDLE: list[tuple[str, dict[str, Any], str]] = [
    # parameter, what is fixed (and `model`), part of the message
    ("lr0", {}, "optimizer: auto chooses it"),
    ("lr0", {"optimizer": "auto"}, "optimizer: auto chooses it"),
    ("momentum", {}, "optimizer: auto chooses it"),
    ("warmup_bias_lr", {}, "optimizer: auto chooses it"),
    ("warmup_momentum", {"optimizer": "AdamW"}, "Adam family has no momentum"),
    ("warmup_momentum", {"optimizer": "NAdam"}, "Adam family has no momentum"),
    ("warmup_momentum", {"optimizer": "SGD", "warmup_epochs": 0}, "no warm-up with warmup_epochs: 0"),
    ("warmup_bias_lr", {"optimizer": "SGD", "warmup_epochs": 0}, "no warm-up with warmup_epochs: 0"),
    ("warmup_epochs", {"epochs": 1}, "no warm-up in a training of one epoch"),
    ("lrf", {"epochs": 1}, "there is no other"),
    ("cos_lr", {"lrf": 1}, "does not change"),
    ("dis", {}, "no distill_model"),
    ("box", {"model": "rtdetr-l.yaml"}, "fixed gains"),
    ("cls", {"model": "rtdetr-l.pt"}, "fixed gains"),
    ("dfl", {"model": "yolov8n-rtdetr.yaml"}, "fixed gains"),
    ("cls_pw", {"model": "rtdetr-l.yaml"}, "class_weights: inverse_frequency with class_weights_power"),
    ("rect", {"model": "rtdetr-l.yaml"}, "never trains on rectangles"),
    ("pose", {}, "only the task pose"),
    ("kobj", {"model": "yolo11n-seg.pt"}, "only the task pose"),
    ("rle", {"model": "yolo11n-pose.pt"}, "only YOLO26's pose head"),
    ("angle", {}, "only the task obb"),
    ("dlog", {}, "only the task depth"),
    ("overlap_mask", {}, "only the task segment"),
    ("mask_ratio", {"model": "yolo11n-pose.yaml"}, "only the task segment"),
    ("dropout", {}, "only the task classify"),
    ("erasing", {"model": "rtdetr-l.yaml"}, "only the task classify"),
    ("auto_augment", {}, "only the task classify"),
    ("mosaic", {"model": "yolo11n-cls.pt"}, "augmentations of its own"),
    ("degrees", {"model": "yolo11n-cls.yaml"}, "augmentations of its own"),
    ("cls", {"model": "yolo11n-cls.pt"}, "a classifier's loss has no gains"),
    ("hsv_h", {"model": "yolo11n-cls.pt"}, "auto_augment replaces it"),
    ("class_weights", {"model": "yolo11n-cls.pt"}, "a classifier's loss has no class weights"),
    ("close_mosaic", {"mosaic": 0}, "are all 0"),
    ("close_mosaic", {"rect": True}, "rect: true switches"),
    ("mosaic", {"rect": True}, "rect: true switches it off"),
    ("mixup", {"epochs": 8}, "lower train.close_mosaic"),
    ("cutmix", {"epochs": 20, "close_mosaic": 20}, "lower train.close_mosaic"),
    ("copy_paste_mode", {}, "copy_paste is 0"),
    ("copy_paste", {}, "the labels are boxes"),
    ("copy_paste", {"model": "yolo11n-pose.pt"}, "no outlines to copy"),
    ("fliplr", {"model": "yolo11n-pose.pt"}, "data.yaml has flip_idx"),
    ("backbone_lr_ratio", {"trainer": {"freeze": "backbone"}}, "frozen for good"),
    ("backbone_lr_ratio", {"trainer": {"freeze": 11}}, "frozen for good"),
    ("backbone_lr_ratio", {"freeze": 11}, "frozen for good"),
    ("backbone_lr_ratio", {"trainer": {"freeze": list(range(11))}}, "frozen for good"),
    ("checkpoint_every", {}, "no result depends on"),
    ("unfreeze_epoch", {}, "nothing is frozen"),
    ("unfreeze_every", {"trainer": {"unfreeze_epoch": 2}}, "nothing is frozen"),
    ("class_weights_power", {}, "which is not set"),
    ("class_weight_offsets.cat", {}, "which is not set"),
    ("class_weights_power", {"trainer": {"class_weights": {"cat": 2}}}, "which is not set"),
    ("positives_only", {}, "there are no class_weights"),
    ("normalize_class_weights", {}, "there are no class_weights"),
    ("cls_pw", {"trainer": {"class_weights": "inverse_frequency"}}, "stand in its place"),
    ("class_weights", {"single_cls": True}, "only one class"),
    ("class_weights.item", {"single_cls": True}, "only one class"),
    ("cls_pw", {"single_cls": True}, "only one class"),
    ("cls_pw", {"classes": [1, 2]}, "equally often"),  # one dog and one cow
    ("class_weights_power", {"classes": [0], "trainer": {"class_weights": "inverse_frequency"}}, "equally often"),
    ("sync_bn", {}, "one rank"),
]

USEFUL: list[tuple[str, dict[str, Any]]] = [
    ("lr0", {"optimizer": "SGD"}),
    ("momentum", {"optimizer": "AdamW"}),  # beta1
    ("warmup_bias_lr", {"optimizer": "AdamW"}),
    ("warmup_momentum", {"optimizer": "RMSprop"}),
    ("weight_decay", {}),
    ("nbs", {}),
    ("lrf", {"epochs": 2}),
    ("cos_lr", {}),
    ("box", {}),
    ("dfl", {"model": "yolo26n.pt"}),  # the weight of its L1 loss
    ("cls_pw", {}),
    ("multi_scale", {"model": "rtdetr-l.yaml"}),
    ("mosaic", {"model": "rtdetr-l.yaml"}),
    ("mosaic", {"epochs": 8, "close_mosaic": 0}),
    ("mixup", {"mosaic": 0}),
    ("close_mosaic", {"mosaic": 0, "mixup": 0.1}),
    ("pose", {"model": "yolo11n-pose.pt"}),
    ("rle", {"model": "yolo26n-pose.pt"}),
    ("overlap_mask", {"model": "yolo11n-seg.pt"}),
    ("erasing", {"model": "yolo11n-cls.pt"}),
    ("fliplr", {"model": "yolo11n-cls.pt"}),
    ("backbone_lr_ratio", {"trainer": {"freeze": "backbone", "unfreeze_epoch": 5}}),
    ("backbone_lr_ratio", {"trainer": {"freeze": 10}}),
    ("unfreeze_epoch", {"freeze": 10}),
    ("class_weights_power", {"trainer": {"class_weights": "inverse_frequency"}}),
    (
        "class_weights_power",
        {"classes": [0], "trainer": {"class_weights": "inverse_frequency", "normalize_class_weights": False}},
    ),
    ("class_weight_offsets.cat", {"classes": [0, 1], "trainer": {"class_weights": "inverse_frequency"}}),
    ("cls_pw", {"classes": [1, 2], "fraction": 0.5}),  # of which nobody knows how many it leaves of each
    ("positives_only", {"trainer": {"class_weights": [1, 2, 3]}}),
    ("sync_bn", {"resources": {"ranks": 2}}),
]

CHOICES: dict[str, list[Any]] = {
    "class_weights": [None, "inverse_frequency"],
    "copy_paste_mode": ["flip", "mixup"],
    "auto_augment": ["randaugment", "augmix"],
}


def space_of(name: str, given: dict[str, Any], data: Path) -> dict[str, Any]:
    """A space file that searches one parameter beside what is given."""
    given = dict(given)
    sections: dict[str, Any] = {key: given.pop(key) for key in ("model", "trainer", "resources") if key in given}
    classify = "-cls" in sections.get("model", "")
    return {
        "model": "yolo11n.pt", "data": "imagenet10" if classify else str(data), **sections,
        "train": {"epochs": 20, **given}, "space": {name: parameter(name)},
    }  # fmt: skip


def parameter(name: str) -> Any:
    if by_class(name):
        return RANGE
    values = searched()[name]
    if name in CHOICES:
        return CHOICES[name]
    if values.get("type") == "boolean" or name == "sync_bn":
        return SWITCH
    return {"low": 1, "high": 3} if "integer" in str(values) and "number" not in str(values) else RANGE


@pytest.fixture
def load(tmp_path: Path, data: Path) -> Callable[[str, dict[str, Any]], list[str]]:
    def told(name: str, given: dict[str, Any]) -> list[str]:
        file = tmp_path / "space.yaml"
        file.write_text(yaml.safe_dump(space_of(name, given, data)))
        space = load_space(file)
        return [problem.message for problem in check(space) if problem.key == f"space.{name}"]

    return told


@pytest.mark.parametrize(("name", "given", "message"), IDLE, ids=str)
def test_a_parameter_without_effect_is_told_with_the_reason(
    name: str, given: dict[str, Any], message: str, load: Callable[[str, dict[str, Any]], list[str]]
) -> None:
    told = load(name, given)
    assert len(told) == 1
    assert told[0].startswith("has no effect")
    assert message in told[0]


@pytest.mark.parametrize(("name", "given"), USEFUL, ids=str)
def test_a_parameter_with_an_effect_is_left_alone(
    name: str, given: dict[str, Any], load: Callable[[str, dict[str, Any]], list[str]]
) -> None:
    assert load(name, given) == []


def test_every_rule_has_a_case() -> None:
    untested = [rule for rule in RULES if not any(part[:15] in rule.why for _, _, part in IDLE)]
    told = {rule.why for rule in untested}
    assert told == {"the images do not have three channels"}, "write a case for the new rule"


def test_rules_name_only_what_can_be_searched() -> None:
    assert {name for rule in RULES for name in rule.names.split()} <= {*searched(), *BY_CLASS}


SOMETIMES = """
model: yolo11n.pt
data: DATA
train: {{epochs: 20}}
space:
{space}
"""


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("  optimizer: [auto, AdamW, SGD]\n  lr0: {low: 1e-4, high: 1e-2, log: true}",
         ["has no effect where optimizer is auto: optimizer: auto chooses it by itself; name an optimizer, such as "
          "AdamW; or add when: {optimizer: [AdamW, SGD]}"]),
        ("  optimizer: [auto, AdamW]\n  lr0: {low: 1e-4, high: 1e-2, log: true, when: {optimizer: AdamW}}", []),
        ("  optimizer: [auto, AdamW]\n  lr0: {low: 1e-4, high: 1e-2, log: true, when: {optimizer: auto}}",
         ["has no effect: optimizer: auto chooses it by itself; name an optimizer, such as AdamW"]),
        ("  class_weights: [null, inverse_frequency]\n  class_weights_power: {low: 0.1, high: 1}",
         ["has no effect where class_weights is null: it belongs to class_weights: inverse_frequency, which is "
          "not set; or add when: {class_weights: [inverse_frequency]}"]),
        ("  freeze: [0, backbone]\n  backbone_lr_ratio: {low: 0.1, high: 1}",
         ["has no effect where freeze is backbone: the whole backbone is frozen for good; freeze less, or set "
          "unfreeze_epoch; or add when: {freeze: [0]}"]),
        ("  freeze: [0, backbone]\n  backbone_lr_ratio: {low: 0.1, high: 1}\n  unfreeze_epoch: {low: 1, high: 3}",
         ["has no effect where freeze is 0: nothing is frozen; set freeze; or add when: {freeze: [backbone]}"]),
        ("  mosaic: [0, 1]\n  close_mosaic: {low: 1, high: 5}",
         ["has no effect where mosaic is 0: mosaic, mixup, cutmix and copy_paste are all 0; or add when: "
          "{mosaic: [1]}"]),
        ("  mosaic: {low: 0, high: 1}\n  close_mosaic: {low: 1, high: 5}", []),
    ],
)  # fmt: skip
def test_what_another_parameter_makes_idle_needs_a_condition(
    space: str, told: list[str], space_file: Callable[[str], Path]
) -> None:
    problems = check(load_space(space_file(SOMETIMES.format(space=space))))
    assert [problem.message for problem in problems] == told


def test_a_fixed_setting_that_does_nothing_is_told(space_file: Callable[[str], Path]) -> None:
    text = (
        "model: yolo11n.pt\ndata: DATA\ntrain: {cls_pw: 0.5}\ntrainer:\n  unfreeze_epoch: 3\n  positives_only: true\n"
    )
    file = space_file(text + "  sync_bn: auto\nspace: {batch: [4, 8]}\n")
    told = [(problem.line, problem.key) for problem in check(load_space(file))]
    assert told == [(5, "trainer.unfreeze_epoch"), (6, "trainer.positives_only")]
    weighted = load_space(file, ["trainer={class_weights: inverse_frequency}"])
    assert [problem.key for problem in check(weighted)] == ["train.cls_pw"]


@pytest.mark.parametrize(("channels", "idle"), [(1, ["bgr", "hsv_h"]), (3, [])])
def test_colours_need_three_channels(
    channels: int, idle: list[str], tmp_path: Path, make_dataset: Callable[..., Path]
) -> None:
    labels = {"train": ["0 .5 .5 .1 .1\n"], "val": ["0 .5 .5 .1 .1\n"]}
    data = make_dataset("gray", labels, f"names: [cat]\nchannels: {channels}\n")
    file = tmp_path / "space.yaml"
    file.write_text(f"model: yolo11n.pt\ndata: {data}\nspace: {{bgr: [0, 1], hsv_h: [0, 0.1], degrees: [0, 9]}}\n")
    assert [problem.key for problem in check(load_space(file))] == [f"space.{name}" for name in idle]


def test_polygons_and_flips_of_keypoints_have_an_effect(tmp_path: Path, make_dataset: Callable[..., Path]) -> None:
    polygon = "0 .1 .1 .5 .1 .5 .5\n"
    outlines = make_dataset("outlines", {"train": [polygon], "val": [polygon]})
    pose = "0 .5 .5 .1 .1 .5 .5 .6 .6\n"
    head = "names: [cat]\nkpt_shape: [2, 2]\nflip_idx: [1, 0]\n"
    keypoints = make_dataset("pose", {"train": [pose], "val": [pose]}, head)
    file = tmp_path / "space.yaml"
    file.write_text("space: {copy_paste: [0.1, 0.5]}\n")
    assert check(load_space(file, flags={"model": "yolo11n-seg.pt", "data": str(outlines)})) == []
    file.write_text("space: {fliplr: [0, 0.5]}\n")
    assert check(load_space(file, flags={"model": "yolo11n-pose.pt", "data": str(keypoints)})) == []


def test_an_unknown_model_is_given_the_benefit_of_the_doubt(tmp_path: Path, data: Path) -> None:
    checkpoint = tmp_path / "mine.pt"
    checkpoint.write_bytes(b"\x80\x02}q\x00.")  # a checkpoint in the format before torch 1.6: nothing is known of it
    file = tmp_path / "space.yaml"
    file.write_text(f"model: {checkpoint}\ndata: {data}\nspace: {{cls: [0.5, 1], overlap_mask: [true, false]}}\n")
    assert check(load_space(file)) == []

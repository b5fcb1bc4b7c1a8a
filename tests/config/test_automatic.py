"""`auto` is a sound range whose default is the stock training, whatever the model, the classes and the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.automatic import known
from raytrainer.config.check import check
from raytrainer.config.filling import fill_in
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space

SpaceFile = Callable[[str], Path]
HEAD = "model: {model}\ndata: DATA\ntrain: {{epochs: 20, optimizer: {optimizer}}}\n"


def filled(text: str, space_file: SpaceFile) -> Space:
    return fill_in(load_space(space_file(text)), lambda _: None)


@pytest.mark.parametrize(
    ("name", "model", "optimizer", "low", "high", "default"),
    [
        ("lr0", "yolo11n.pt", "AdamW", 1.429e-4, 1.429e-2, 1.429e-3),  # round(0.002 * 5 / (4 + 3), 6)
        ("lr0", "yolo11n.pt", "SGD", 1e-3, 1e-1, 1e-2),
        ("lr0", "rtdetr-l.pt", "AdamW", 1e-5, 5e-4, 1e-4),
        ("backbone_lr_ratio", "yolo11n.pt", "AdamW", 0.1, 1, 1),
        ("backbone_lr_ratio", "rtdetr-l.pt", "AdamW", 0.01, 1, 0.1),
        ("warmup_epochs", "yolo11n.pt", "AdamW", 0, 5, 3),
        ("close_mosaic", "yolo11n.pt", "AdamW", 0, 10, 2),
        ("box", "yolo11n.pt", "AdamW", 1, 20, 7.5),
    ],
)
def test_a_range_follows_from_the_model_the_classes_and_the_optimizer(
    name: str, model: str, optimizer: str, low: float, high: float, default: float, space_file: SpaceFile
) -> None:
    text = HEAD.format(model=model, optimizer=optimizer) + f"space: {{{name}: auto}}\n"
    parameter: Any = filled(text, space_file).space[name]
    assert (parameter.low, parameter.high, parameter.default) == pytest.approx((low, high, default))


@pytest.mark.parametrize("model", ["yolo11n.pt", "rtdetr-l.pt"])
def test_everything_can_be_auto_and_comes_back_from_its_yaml(model: str, space_file: SpaceFile, tmp_path: Path) -> None:
    names = [name for name in known() if name != "cls_pw"]
    text = HEAD.format(model=model, optimizer="AdamW")
    space = filled(text + "space:\n" + "".join(f"  {name}: auto\n" for name in names), space_file)
    assert space.space.keys() >= {*names} - {"class_weights"} | {"class_weights_power"}
    again = tmp_path / "again.yaml"
    again.write_text(space.to_yaml())
    assert load_space(again) == space
    assert load_space(again).automatic == ()


@pytest.mark.parametrize(
    ("model", "choices", "found", "note"),
    [
        ("yolo11n.pt", "[AdamW, NAdam]", (1.429e-4, 1.429e-2, 1.429e-3), ""),
        ("yolo11n.pt", "[AdamW, SGD]", (1.429e-4, 1e-1, 1.429e-3), "; wide enough for AdamW and SGD"),
        ("yolo11n.pt", "{choices: [AdamW, SGD, MuSGD], default: MuSGD}", (1.429e-4, 1e-1, 1e-2),
         "; wide enough for MuSGD and AdamW and SGD"),
        ("yolo11n.pt", "[SGD, RMSProp]", (1e-3, 1e-1, 1e-2), ""),
        ("rtdetr-l.pt", "[AdamW, SGD]", (1e-5, 5e-4, 1e-4), ""),
    ],
)  # fmt: skip
def test_a_learning_rate_suits_every_optimizer_that_is_searched(
    model: str, choices: str, found: tuple[float, float, float], note: str, space_file: SpaceFile,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The first trial has the default optimizer, so it has the rate of that one."""
    text = f"model: {model}\ndata: DATA\nspace: {{lr0: auto, optimizer: {choices}}}\n"
    space = fill_in(load_space(space_file(text)))
    parameter: Any = space.space["lr0"]
    assert (parameter.low, parameter.high, parameter.default) == pytest.approx(found)
    assert capsys.readouterr().out == f"lr0: auto searches lr0, float log, {found[0]:g} to {found[1]:g}; default " + (
        f"{found[2]:g}{note}\n"
    )
    assert check(space) == []


def test_one_class_of_all_has_a_learning_rate_of_its_own(space_file: SpaceFile) -> None:
    text = HEAD.format(model="yolo11n.pt", optimizer="AdamW, single_cls: true") + "space: {lr0: auto}\n"
    assert filled(text, space_file).space["lr0"].default == 0.002  # round(0.002 * 5 / (4 + 1), 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "space: {unfreeze_epoch: auto}\n",
            "4: space.unfreeze_epoch: no range is known for it; auto serves back",
        ),
        ("space: {epochs: auto}\n", "4: space.epochs: cannot be searched"),
        ("trainer: {class_weights: [1, 2, 3]}\nspace: {class_weights: auto}\n", "is both searched and fixed"),
        ("space:\n  lr0: auto\n  box: {low: 1, high: 2, when: {lr0: 1}}\n", "space.box.when.lr0: is auto"),
    ],
)
def test_what_cannot_be_auto(text: str, message: str, space_file: SpaceFile) -> None:
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        load_space(space_file(HEAD.format(model="yolo11n.pt", optimizer="AdamW") + text))


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"data": "coco8.yaml"}, "class_weights", "auto needs the labels of the dataset, which are not here yet"),
        ({"data": "gone.yaml"}, "lr0", "no such dataset"),
        ({"model": "mine.pt"}, "lr0", "auto needs a model that is known: no such model"),
        ({"train.epochs": 1}, "warmup_epochs", "has no effect in a training of one epoch"),
    ],
)
def test_what_a_range_cannot_follow_from(
    changes: dict[str, Any], name: str, message: str, space_file: SpaceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytrainer.config.dataset.datasets_folder", lambda: Path("/nowhere"))
    text = HEAD.format(model="yolo11n.pt", optimizer="AdamW") + f"space: {{{name}: auto}}\n"
    space = load_space(space_file(text), flags=changes)
    assert [problem.message for problem in check(space) if problem.key == f"space.{name}"][:1] == [
        "auto has not been filled in"
    ]
    with pytest.raises(UserError, match=message):
        fill_in(space)


def test_it_is_told(space_file: SpaceFile, capsys: pytest.CaptureFixture[str]) -> None:
    fill_in(load_space(space_file(HEAD.format(model="yolo11n.pt", optimizer="SGD") + "space: {lr0: auto}\n")))
    assert capsys.readouterr().out == "lr0: auto searches lr0, float log, 0.001 to 0.1; default 0.01\n"

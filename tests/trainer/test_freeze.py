"""What is frozen in which epoch, in the model, its batch normalisation and its optimizer, resumed or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import core_of, trainer_of
from raytrainer.trainer.freeze import frozen_modules, set_trainable, still_frozen

QuickArgs = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def yolov8() -> nn.Module:
    return DetectionModel("yolov8n.yaml", nc=3, verbose=False)


@pytest.mark.parametrize(
    ("freeze", "modules"),
    [
        (None, []),
        (0, []),
        (3, ["0", "1", "2"]),
        ([4, 2], ["2", "4"]),
        (["2", 2, "model.2"], ["2"]),
        ("backbone", [str(i) for i in range(10)]),
        (["backbone", "22.cv3"], [*map(str, range(10)), "22.cv3"]),
        (13, [*map(str, range(10)), "12"]),  # layers 10 and 11 have no parameters
    ],
)
def test_which_modules_a_setting_freezes(freeze: Any, modules: list[str], yolov8: nn.Module) -> None:
    assert frozen_modules(yolov8, freeze, backbone=10) == modules


@pytest.mark.parametrize(
    ("freeze", "message"),
    [([99], "no layer or module '99'"), (["22.cv9"], "did you mean '22.cv"), (["bakbone"], "bakbone"), ([-1], "'-1'")],
)
def test_a_module_that_does_not_exist_is_named(freeze: Any, message: str, yolov8: nn.Module) -> None:
    with pytest.raises(UserError, match=message):
        frozen_modules(yolov8, freeze, backbone=10)


@pytest.mark.parametrize(
    ("unfreeze_epoch", "unfreeze_every", "frozen_by_epoch"),
    [
        (None, None, ["0123", "0123", "0123", "0123"]),
        (0, None, ["", "", "", ""]),
        (2, None, ["0123", "0123", "", ""]),
        (1, 1, ["0123", "012", "01", "0", "", ""]),
        (0, 2, ["012", "012", "01", "01", "0", "0", "", ""]),
    ],
)
def test_what_is_frozen_follows_from_the_epoch_alone(
    unfreeze_epoch: int | None, unfreeze_every: int | None, frozen_by_epoch: list[str]
) -> None:
    settings = Settings(freeze=4, unfreeze_epoch=unfreeze_epoch, unfreeze_every=unfreeze_every)
    frozen = ["0", "1", "2", "3"]
    assert ["".join(still_frozen(frozen, epoch, settings)) for epoch in range(len(frozen_by_epoch))] == frozen_by_epoch


def test_modules_of_one_layer_are_unfrozen_together() -> None:
    settings = Settings(freeze=[1], unfreeze_epoch=0, unfreeze_every=1)
    assert still_frozen(["1", "22.cv2", "22.cv3"], 0, settings) == ["1"]


def test_freezing_drops_stale_gradients(yolov8: nn.Module) -> None:
    for parameter in yolov8.parameters():
        parameter.grad = torch.ones_like(parameter)
    changed = set_trainable(yolov8, ["model.0.", ".dfl"])
    assert changed == 3  # the fourth, .dfl, is frozen from the start
    assert set_trainable(yolov8, ["model.0.", ".dfl"]) == 0
    assert [name for name, parameter in yolov8.named_parameters() if parameter.grad is None] == [
        "model.0.conv.weight", "model.0.bn.weight", "model.0.bn.bias", "model.22.dfl.conv.weight",
    ]  # fmt: skip


def watch(trainer: Any) -> list[dict[str, Any]]:
    """What trains, what is in eval, what moved and what learned, its statistics aside, at the end of every epoch."""
    epochs: list[dict[str, Any]] = []
    before: dict[str, torch.Tensor] = {}

    def at_start(trainer: Any) -> None:
        before.update({name: value.clone() for name, value in core_of(trainer.model).state_dict().items()})

    def at_end(trainer: Any) -> None:
        core = core_of(trainer.model)
        batch_norms = {name: module for name, module in core.named_modules() if isinstance(module, nn.BatchNorm2d)}
        moved = {name for name, value in core.state_dict().items() if not torch.equal(value, before[name])}
        epochs.append(
            {
                "epoch": trainer.epoch,
                "trains": {_layer(name) for name, parameter in core.named_parameters() if parameter.requires_grad},
                "fixed": [name for name, parameter in core.named_parameters() if not parameter.requires_grad],
                "eval": {_layer(name) for name, module in batch_norms.items() if not module.training},
                "moved": {_layer(name) for name in moved},
                "learned": {_layer(name) for name, _ in core.named_parameters() if name in moved},
            }
        )

    trainer.add_callback("on_train_epoch_start", at_start)
    trainer.add_callback("on_train_epoch_end", at_end)
    return epochs


def _layer(name: str) -> int:
    return int(name.split(".")[1])


BACKBONE = {"yolov8n.yaml": set(range(10)), "rtdetr-tiny": set(range(8))}


@pytest.mark.parametrize("model", ["yolov8n.yaml", "rtdetr-tiny"])
def test_a_frozen_backbone_stands_still_and_then_trains(model: str, quick_args: QuickArgs, rtdetr_tiny: Path) -> None:
    backbone = BACKBONE[model]
    model = str(rtdetr_tiny) if model == "rtdetr-tiny" else model
    arguments = quick_args(model, epochs=3, warmup_epochs=0, val=False)
    trainer = compose(trainer_of(model), freeze="backbone", unfreeze_epoch=1)(overrides=arguments)
    epochs = watch(trainer)
    trainer.train()
    frozen, thawed = epochs[0], epochs[1]
    assert not frozen["trains"] & backbone
    assert frozen["eval"] == backbone
    assert not frozen["moved"] & backbone
    assert frozen["learned"]
    assert backbone <= thawed["trains"]
    assert thawed["eval"] == set()
    assert backbone <= thawed["learned"]
    assert thawed["fixed"] == (["model.22.dfl.conv.weight"] if "yolov8" in model else [])
    assert epochs[2]["trains"] == thawed["trains"]


def test_layers_train_again_one_by_one_from_the_top(quick_args: QuickArgs) -> None:
    arguments = quick_args("yolo26n.yaml", epochs=4, val=False)
    trainer = compose(freeze=3, unfreeze_epoch=1, unfreeze_every=1)(overrides=arguments)
    epochs = watch(trainer)
    trainer.train()
    assert [sorted({0, 1, 2} & epoch["trains"]) for epoch in epochs] == [[], [2], [1, 2], [0, 1, 2]]
    assert [sorted(epoch["eval"]) for epoch in epochs] == [[0, 1, 2], [0, 1], [0], []]


def test_without_an_unfreeze_epoch_it_stays_frozen_and_ultralytics_argument_may_say_what(quick_args: QuickArgs) -> None:
    ran = {}
    for name, settings, arguments in (("setting", {"freeze": 2}, {}), ("argument", {}, {"freeze": [0, 1]})):
        trainer = compose(**settings)(overrides=quick_args("yolov8n.yaml", name=name, epochs=2, val=False, **arguments))
        epochs = watch(trainer)
        trainer.train()
        ran[name] = core_of(trainer.model).state_dict()
        assert all(epoch["trains"].isdisjoint({0, 1}) for epoch in epochs)
    assert all(torch.equal(value, ran["argument"][key]) for key, value in ran["setting"].items())


def test_ultralytics_argument_is_unfrozen_too(quick_args: QuickArgs) -> None:
    trainer = compose(unfreeze_epoch=1)(overrides=quick_args("yolov8n.yaml", epochs=2, val=False, freeze=2))
    epochs = watch(trainer)
    trainer.train()
    assert [{0, 1} <= epoch["trains"] for epoch in epochs] == [False, True]


def test_unfreezing_nothing_is_an_error(quick_args: QuickArgs) -> None:
    with pytest.raises(UserError, match="unfreeze_epoch: has no effect: nothing is frozen; set freeze"):
        compose(unfreeze_epoch=1)(overrides=quick_args("yolov8n.yaml")).train()


def test_two_different_wishes_are_an_error(quick_args: QuickArgs) -> None:
    with pytest.raises(UserError, match=r"setting freezes .*'1'.*argument"):
        compose(freeze=2)(overrides=quick_args("yolov8n.yaml", freeze=3)).train()


def test_the_teacher_of_a_distilled_model_and_dfl_never_train() -> None:
    trainer_class = compose(freeze=1, unfreeze_epoch=1)
    trainer = trainer_class.__new__(trainer_class)
    trainer.model = nn.ModuleDict(
        {name: DetectionModel("yolov8n.yaml", nc=3, verbose=False) for name in ("teacher_model", "student_model")}
    )
    trainer.frozen, trainer.epoch, trainer.freeze_layer_names = ["0"], 3, ["model.0.", ".dfl"]
    trainer.model.teacher_model.requires_grad_(False)
    trainer.model.student_model.model[0].requires_grad_(False)
    trainer._unfreeze()
    fixed = {name for name, parameter in trainer.model.named_parameters() if not parameter.requires_grad}
    assert {name.split(".")[0] for name in fixed if ".dfl" not in name} == {"teacher_model"}
    assert "student_model.model.22.dfl.conv.weight" in fixed
    assert trainer.model.student_model.model[0].conv.weight.requires_grad


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, nn.SyncBatchNorm])
def test_frozen_batch_normalisation_is_in_eval_synchronised_or_not(kind: type[nn.Module]) -> None:
    trainer_class = compose()
    trainer = trainer_class.__new__(trainer_class)
    trainer.model = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    if kind is nn.SyncBatchNorm:
        trainer.model = nn.SyncBatchNorm.convert_sync_batchnorm(trainer.model)
    trainer.freeze_layer_names = [f"model.{i}." for i in range(10)] + [".dfl", "model.22.cv2.0.0.bn."]
    trainer._model_train()
    norms = {name: module for name, module in trainer.model.named_modules() if isinstance(module, kind)}
    frozen = {name for name in norms if _layer(name) < 10 or name == "model.22.cv2.0.0.bn"}
    assert len(frozen) == 27 + 1
    assert {name for name, module in norms.items() if not module.training} == frozen


@pytest.mark.parametrize(("interrupted_after", "trains"), [(1, [False, True]), (3, [True])])
def test_a_resume_on_either_side_of_the_unfreeze_is_right(
    interrupted_after: int, trains: list[bool], quick_args: QuickArgs
) -> None:
    composed = compose(freeze=2, unfreeze_epoch=2)
    first = composed(overrides=quick_args("yolov8n.yaml", epochs=interrupted_after + len(trains), val=False))
    first.add_callback("on_train_epoch_end", lambda t: setattr(t, "stop", t.epoch == interrupted_after - 1))
    first.final_eval = lambda: None
    first.train()
    again = composed(overrides={"resume": str(first.last), "model": str(first.last)})
    epochs = watch(again)
    again.train()
    assert [epoch["epoch"] for epoch in epochs] == list(range(interrupted_after, interrupted_after + len(trains)))
    assert [{0, 1} <= epoch["trains"] for epoch in epochs] == trains
    assert [{0, 1} <= epoch["learned"] for epoch in epochs] == trains

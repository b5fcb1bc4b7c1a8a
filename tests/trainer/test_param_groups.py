"""Layer-wise learning rates: who is in which group, and at which rate it learns at every single step."""

from __future__ import annotations

import ast
import inspect
import logging
import re
import textwrap
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

from raytrainer.config.problems import UserError
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import family_of, trainer_of
from raytrainer.trainer.param_groups import check_coverage, learning_rates, sections, split_groups

QuickArgs = Callable[..., dict[str, Any]]
LR = 0.01


def upstream_optimizers() -> list[str]:
    """The names in the set that Ultralytics itself looks an optimizer up in."""
    source = ast.parse(textwrap.dedent(inspect.getsource(BaseTrainer.build_optimizer)))
    sets = [
        ast.literal_eval(node.value)
        for node in ast.walk(source)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "optimizers"
    ]
    (names,) = sets
    return sorted(names)


def upstream_schedules() -> set[str]:
    """The training arguments that Ultralytics chooses a schedule of the learning rate by, the final rate aside."""
    source = ast.parse(textwrap.dedent(inspect.getsource(BaseTrainer._setup_scheduler)))
    return {ast.unparse(node.test).removeprefix("self.args.") for node in ast.walk(source) if isinstance(node, ast.If)}


OPTIMIZERS = upstream_optimizers()
SCHEDULES: tuple[dict[str, Any], ...] = ({"cos_lr": False}, {"cos_lr": True})


def build(model: nn.Module, name: str, **settings: Any) -> Optimizer:
    """The optimizer of a composed trainer, of which only what building one needs is there."""
    trainer_class = compose(**settings)
    trainer = trainer_class.__new__(trainer_class)
    trainer.args = SimpleNamespace(lr0=LR, optimizer=name, warmup_bias_lr=0.1)
    trainer.data = {"nc": 3}
    optimizer: Optimizer = trainer.build_optimizer(model, name=name, lr=LR, momentum=0.9, decay=5e-4, iterations=10)
    return optimizer


def rate_of_each_parameter(model: nn.Module, optimizer: Optimizer) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


@pytest.fixture(scope="module")
def yolo() -> nn.Module:
    return DetectionModel("yolo26n.yaml", nc=3, verbose=False)


@pytest.fixture(scope="module")
def rtdetr(rtdetr_tiny: Path) -> nn.Module:
    return RTDETRDetectionModel(str(rtdetr_tiny), nc=3, verbose=False)


def test_every_optimizer_and_schedule_of_ultralytics_is_tested() -> None:
    """What a new version of Ultralytics adds is in the lists, or this fails."""
    assert {"SGD", "AdamW", "MuSGD", "auto"} <= set(OPTIMIZERS)
    assert upstream_schedules() == {argument for schedule in SCHEDULES for argument in schedule}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_keeps_its_groups_and_learns_the_backbone_slower(name: str, yolo: nn.Module) -> None:
    stock = build(yolo, name)
    split = build(yolo, name, backbone_lr_ratio=0.1)
    layers = len(family_of(yolo).backbone(yolo))
    below = len({parameter.split(".")[1] for parameter, _ in yolo.named_parameters()}) - 1
    plain = [group for group in stock.param_groups if group["name"].startswith("model/")]
    assert len(plain) == (8 if name == "MuSGD" else 3)
    assert len(split.param_groups) == len(stock.param_groups) == len(plain) * (2 + below)
    before, after = rate_of_each_parameter(yolo, stock), rate_of_each_parameter(yolo, split)
    for parameter, rate in before.items():
        share = 0.1 if int(parameter.split(".")[1]) < layers else 1.0
        assert after[parameter] == pytest.approx(rate * share), parameter
    assert type(split) is type(stock)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_every_optimizer_the_backbone_moves_by_its_share(name: str, yolo: nn.Module) -> None:
    """Biases, which have no decay, by the same gradient; groups that are empty are there again after the step."""

    def moved(ratio: float) -> dict[str, float]:
        model = deepcopy(yolo)
        optimizer = build(model, name, backbone_lr_ratio=ratio)
        groups = list(optimizer.param_groups)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        assert optimizer.param_groups == groups
        pairs = zip(model.named_parameters(), yolo.parameters(), strict=True)
        return {n: float((after - before).detach().abs().mean()) for (n, after), before in pairs if "bias" in n}

    stock, split = moved(1.0), moved(0.1)
    for bias, distance in stock.items():
        share = 0.1 if int(bias.split(".")[1]) < len(family_of(yolo).backbone(yolo)) else 1.0
        assert distance > 0
        assert split[bias] == pytest.approx(distance * share, rel=1e-3), bias


@pytest.mark.parametrize("name", ["AdamW", "MuSGD"])
@pytest.mark.parametrize("kind", ["yolo", "rtdetr"])
def test_weights_norms_and_biases_are_apart_and_decay_falls_on_weights_only(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """Of attention too, whose biases have no module of their own."""
    model = request.getfixturevalue(kind)
    norms = {f"{n}.weight" for n, module in model.named_modules() if "Norm" in type(module).__name__}
    names = {id(parameter): parameter_name for parameter_name, parameter in model.named_parameters()}
    for group in build(model, name, backbone_lr_ratio=0.1, layer_decay=0.8).param_groups:
        tag = group["param_group"]
        assert tag in {"weight", "bn", "bias", "muon"}
        assert group["weight_decay"] == (5e-4 if tag in {"weight", "muon"} else 0.0)
        for parameter in group["params"]:
            is_bias = "bias" in names[id(parameter)]
            assert (tag == "bias", tag == "bn") == (is_bias, names[id(parameter)] in norms), names[id(parameter)]


def test_the_rates_that_musgd_raises_for_classifying_layers_survive(yolo: nn.Module) -> None:
    rates = learning_rates(build(yolo, "MuSGD", backbone_lr_ratio=0.1))
    assert rates["head/muon-boosted"] == pytest.approx(3 * LR)
    assert rates["head/muon"] == pytest.approx(LR)
    assert rates["backbone/muon"] == pytest.approx(0.1 * LR)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"backbone_lr_ratio": 0.01},
        {"layer_decay": 0.7},
        {"backbone_lr_ratio": 0.1, "layer_decay": 0.7, "freeze": "backbone"},
        {"freeze": 10},
    ],
)
def test_the_number_and_kind_of_groups_never_depend_on_settings(settings: dict[str, Any], rtdetr: nn.Module) -> None:
    def layout(optimizer: Optimizer) -> list[str]:
        return [group["name"].replace("model/", "head/") for group in optimizer.param_groups]

    assert layout(build(rtdetr, "AdamW", **settings)) == layout(build(rtdetr, "AdamW"))


@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize("kind", ["yolo", "rtdetr"])
@pytest.mark.parametrize("name", ["SGD", "MuSGD"])
def test_layer_decay_is_geometric_from_the_head_down(
    name: str, kind: str, ratio: float, request: pytest.FixtureRequest
) -> None:
    """Through neck and backbone, over the layers that have parameters; the backbone's rates times the ratio."""
    model = request.getfixturevalue(kind)
    rates = rate_of_each_parameter(model, build(model, name, backbone_lr_ratio=ratio, layer_decay=0.8))
    stock = rate_of_each_parameter(model, build(model, name))
    backbone = len(family_of(model).backbone(model))
    learning = sorted({int(parameter.split(".")[1]) for parameter in rates}, reverse=True)
    assert len(learning) < len(model.model)  # some layers only resize or join
    for parameter, rate in rates.items():
        layer = int(parameter.split(".")[1])
        share = 0.8 ** learning.index(layer) * (ratio if layer < backbone else 1.0)
        assert rate == pytest.approx(stock[parameter] * share), parameter


@pytest.mark.parametrize("broken", ["missing", "twice"])
def test_a_parameter_in_no_group_or_in_two_is_named(broken: str) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = SGD([{"params": [p]} for p in model.parameters()], lr=LR)
    if broken == "missing":
        optimizer.param_groups.pop(1)
    else:
        optimizer.param_groups[1]["params"].append(model[0].weight)
    name = "0.bias is in no groups" if broken == "missing" else "0.weight is in 2 groups"
    with pytest.raises(RuntimeError, match=name):
        check_coverage(model, optimizer)


def test_the_groups_are_logged_with_their_counts(yolo: nn.Module, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("ultralytics")
    logger.addHandler(caplog.handler)
    try:
        optimizer = build(yolo, "AdamW", backbone_lr_ratio=0.1, layer_decay=0.5)
    finally:
        logger.removeHandler(caplog.handler)
    line = re.compile(
        r"^  (\S+): (\d+) tensors, ([\d,]+) parameters, lr \S+ \((\S+) of the head's\), decay", re.MULTILINE
    )
    told = {name: (int(tensors), int(count.replace(",", "")), float(share))
            for name, tensors, count, share in line.findall(caplog.text)}  # fmt: skip
    groups = {group["name"]: group for group in optimizer.param_groups if group["params"]}
    assert told.keys() == groups.keys()
    assert sum(count for _, count, _ in told.values()) == sum(parameter.numel() for parameter in yolo.parameters())
    assert all(told[name][0] == len(group["params"]) for name, group in groups.items())
    assert told["head/weight"][2] == 1.0
    assert told["layer.22/weight"][2] == 0.5
    assert told["layer.10/weight"][2] == pytest.approx(0.1 * 0.5**7, rel=0.01)  # below 13, 16, 17, 19, 20, 22, 23


def test_a_model_without_a_backbone_cannot_have_a_rate_for_it() -> None:
    bare = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    bare.yaml = {}
    assert len(build(bare, "SGD").param_groups) == 3 * (1 + 16)
    with pytest.raises(UserError, match="backbone"):
        build(bare, "SGD", backbone_lr_ratio=0.1)
    assert build(bare, "SGD", layer_decay=0.5).param_groups[-1]["lr_scale"] == 0.5**16  # it needs none


def test_splitting_keeps_the_order_of_the_parameters(yolo: nn.Module) -> None:
    parameters = list(yolo.parameters())
    optimizer = SGD([{"params": parameters, "param_group": "weight"}], lr=LR)
    split_groups(optimizer, sections(list(yolo.get_submodule("model").children()), 11, 0.1, 1.0))
    assert [p for group in optimizer.param_groups[:1] for p in group["params"]] == [
        p for name, p in yolo.named_parameters() if int(name.split(".")[1]) >= 11
    ]


def record_rates(trainer: Any, event: str = "step") -> list[dict[str, float]]:
    """The rate of every group that has parameters, at every step that the optimizer takes or at every event."""
    steps: list[dict[str, float]] = []

    def attach(trainer: Any) -> None:
        trainer.optimizer.register_step_pre_hook(lambda optimizer, *_: steps.append(learning_rates(optimizer)))

    if event == "step":
        trainer.add_callback("on_train_start", attach)
    else:
        trainer.add_callback(event, lambda trainer: steps.append(learning_rates(trainer.optimizer)))
    return steps


@pytest.mark.parametrize(
    ("optimizer", "model", "extra"),
    [
        *(("SGD", "yolov8n.yaml", {"nbs": 8, **schedule}) for schedule in SCHEDULES),
        ("MuSGD", "yolo26n.yaml", {}),
        ("AdamW", "rtdetr-tiny", {}),
        ("auto", "rtdetr-tiny", {}),
    ],
)
def test_the_ratio_holds_at_every_step(
    optimizer: str, model: str, extra: dict[str, Any], quick_args: QuickArgs, rtdetr_tiny: Path
) -> None:
    model = str(rtdetr_tiny) if model == "rtdetr-tiny" else model
    arguments = quick_args(
        model, epochs=4, optimizer=optimizer, warmup_epochs=2, warmup_bias_lr=0.1, val=False, **extra
    )
    trainer = compose(trainer_of(model), backbone_lr_ratio=0.1)(overrides=arguments)
    steps, batches = record_rates(trainer), record_rates(trainer, "on_train_batch_end")
    logged: list[dict[str, float]] = []
    trainer.add_callback("on_train_epoch_end", lambda trainer: logged.append(dict(trainer.lr)))
    trainer.train()
    assert len(steps) >= 7
    assert len(batches) == 12
    for step in steps + batches:
        for name, rate in step.items():
            if name.startswith("backbone/"):
                assert rate == 0.1 * step[name.replace("backbone/", "head/")], name
    biases = [step["head/bias"] for step in steps]
    assert optimizer == "auto" or max(biases) > 2 * biases[-1]  # bias warm-up did happen, from above
    place = [group["name"] for group in trainer.optimizer.param_groups].index("head/bias")
    assert all(epoch["lr/backbone/bias"] == 0.1 * epoch[f"lr/pg{place}"] for epoch in logged)


def test_the_ratio_holds_after_a_resume(quick_args: QuickArgs) -> None:
    arguments = quick_args("yolov8n.yaml", epochs=4, warmup_epochs=3, optimizer="SGD", val=False)
    composed = compose(backbone_lr_ratio=0.1, freeze="backbone")
    first = composed(overrides=arguments)
    first.add_callback("on_train_epoch_end", lambda trainer: setattr(trainer, "stop", trainer.epoch == 1))
    first.final_eval = lambda: None
    first.train()
    assert first.epoch == 1
    again = composed(overrides={"resume": str(first.last), "model": str(first.last)})
    steps = record_rates(again)
    again.train()
    assert again.start_epoch == 2
    assert all(step["backbone/bias"] == 0.1 * step["head/bias"] for step in steps)
    assert len(steps) == 6

"""Gradient clipping: both bounds, over what trains, on true gradients, and the numbers that it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from ultralytics.models.yolo.detect import DetectionTrainer

from raytrainer.trainer.clip import STOCK_MAX_NORM, ClipStats, clip
from raytrainer.trainer.compose import compose

QuickArgs = Callable[..., dict[str, Any]]


def parameters_with_gradients(*gradients: list[float] | None) -> list[nn.Parameter]:
    """Parameters whose gradients are given; None is one without a gradient."""
    made = []
    for gradient in gradients:
        parameter = nn.Parameter(torch.zeros(len(gradient or [0])))
        parameter.grad = None if gradient is None else torch.tensor(gradient)
        made.append(parameter)
    return made


@pytest.mark.parametrize(
    ("max_norm", "max_value", "expected", "clipped"),
    [
        (0.0, 0.0, [3.0, 4.0], False),  # both off: not a bit changes
        (10.0, 0.0, [3.0, 4.0], False),
        (1.0, 0.0, [0.6, 0.8], True),
        (0.0, 3.5, [3.0, 3.5], True),
        (0.0, 4.5, [3.0, 4.0], False),
        (1.0, 0.7, [0.6, 0.7], True),  # first the norm, then the value: both bounds hold
    ],
)
def test_gradients_after_clipping(max_norm: float, max_value: float, expected: list[float], clipped: bool) -> None:
    first, without, second = parameters_with_gradients([3.0], None, [4.0])
    norm, changed = clip([first, without, second], max_norm, max_value)
    assert float(norm) == 5.0
    assert bool(changed) is clipped
    assert without.grad is None
    assert [float(first.grad), float(second.grad)] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bounds", [(0.5, 0.0), (100.0, 0.0), (0.0, 0.3), (1.0, 0.05), (0.0, math.inf), (0.0, 0.0)])
def test_the_bits_are_those_of_the_functions_of_torch(bounds: tuple[float, float]) -> None:
    """On tensors of every size, most of which no bound touches."""
    max_norm, max_value = bounds
    torch.manual_seed(0)
    own, others = ([nn.Parameter(torch.zeros(size, size)) for size in (1, 7, 64, 3, 200)] for _ in range(2))
    for mine, other, scale in zip(own, others, (0.01, 0.1, 0.001, 1.0, 0.02), strict=True):
        mine.grad = torch.randn_like(mine) * scale
        other.grad = mine.grad.clone()
    before = torch.cat([parameter.grad.flatten() for parameter in own])  # type: ignore[union-attr]
    norm, clipped = clip(own, max_norm, max_value)
    assert torch.equal(norm, clip_grad_norm_(others, max_norm or math.inf))
    if max_value:
        clip_grad_value_(others, max_value)
    assert all(torch.equal(mine.grad, other.grad) for mine, other in zip(own, others, strict=True))
    after = torch.cat([parameter.grad.flatten() for parameter in own])  # type: ignore[union-attr]
    assert bool(clipped) == (not torch.equal(before, after))


def test_off_leaves_an_infinite_gradient_to_the_scaler() -> None:
    (parameter,) = parameters_with_gradients([math.inf, 1.0])
    norm, _ = clip([parameter], 0.0, 0.0)
    assert math.isinf(float(norm))
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [math.inf, 1.0]


def test_elements_beside_one_that_is_not_a_number_are_bounded_too() -> None:
    """As `clip_grad_value_` bounds them."""
    (parameter,) = parameters_with_gradients([3.0, math.nan, -math.inf, 0.5])
    clip([parameter], 0.0, 1.0)
    assert parameter.grad is not None
    assert parameter.grad.tolist() == pytest.approx([1.0, math.nan, -1.0, 0.5], nan_ok=True)


def test_nothing_to_clip() -> None:
    norm, changed = clip(parameters_with_gradients(None), 1.0, 1.0)
    assert (float(norm), bool(changed)) == (0.0, False)


@pytest.mark.parametrize(
    ("norms", "clipped", "summary"),
    [
        ([], [], None),
        ([1.0, 3.0], [False, True], (2.0, 3.0, 0.5)),
        ([math.inf, 2.0], [True, False], (2.0, 2.0, 0.0)),  # mixed precision skipped the first step
        ([math.nan], [True], None),
    ],
)
def test_summary_of_an_epoch(norms: list[float], clipped: list[bool], summary: Any) -> None:
    stats = ClipStats([torch.tensor(norm) for norm in norms], [torch.tensor(flag) for flag in clipped])
    assert stats.summary() == summary
    columns = stats.columns()
    assert list(columns) == ["gradient/norm", "gradient/norm_max", "gradient/clipped_share"]
    assert list(columns.values()) == list(summary) if summary else all(map(math.isnan, columns.values()))


class Scaler:
    """A gradient scaler that scaled by 1024, and whose step is not taken if a gradient overflowed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        self.calls.append("unscale")
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad /= 1024

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        self.calls.append("step")
        optimizer.step()

    def update(self) -> None:
        self.calls.append("update")


class Average:
    def __init__(self) -> None:
        self.updates = 0

    def update(self, _: nn.Module) -> None:
        self.updates += 1


def stepping(model: nn.Module, trainer_class: Any, scaler: Any) -> Any:
    """A trainer of which only what a step needs is there."""
    trainer = trainer_class.__new__(trainer_class)
    trainer.model, trainer.device, trainer.scaler, trainer.ema = model, torch.device("cpu"), scaler, Average()
    trainer.optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return trainer


@pytest.mark.parametrize("max_norm", [0.5, 0])
def test_a_step_clips_what_was_unscaled_and_trains(max_norm: float) -> None:
    model = nn.ParameterDict({"trained": torch.zeros(2), "frozen": torch.zeros(2)})
    model["trained"].grad = torch.tensor([3.0, 4.0]) * 1024
    model["frozen"].requires_grad_(False)
    model["frozen"].grad = torch.tensor([1e6, 1e6])  # a stale one, which must not count in the norm
    scaler = Scaler()
    trainer = stepping(model, compose(clip_grad_norm=max_norm), scaler)
    trainer.optimizer = torch.optim.SGD([model["trained"]], lr=1.0)
    trainer.optimizer_step()
    assert scaler.calls == ["unscale", "step", "update"]
    assert [float(norm) for norm in trainer.clip_stats.norms] == [5.0]
    assert [bool(flag) for flag in trainer.clip_stats.clipped] == [max_norm != 0]
    assert float(model["trained"].detach().norm()) == pytest.approx(max_norm or 5.0, rel=1e-5)
    assert model["trained"].grad is None
    assert trainer.ema.updates == 1


def test_a_real_scaler_changes_nothing_but_skips_what_overflowed() -> None:
    """Mixed precision: scaled gradients are clipped at their true norm, and an infinite one moves nothing."""
    after = {}
    for scale in (None, 1024.0):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        model = nn.ParameterDict({"trained": torch.zeros(2)})
        trainer = stepping(model, compose(clip_grad_norm=0.5, clip_grad_value=0.35), scaler)
        scaler.scale(model["trained"] @ torch.tensor([3.0, 4.0])).backward()
        trainer.optimizer_step()
        after[scale] = model["trained"].detach().clone()
        assert [float(norm) for norm in trainer.clip_stats.norms] == [5.0]
        scaler.scale(model["trained"] @ torch.tensor([math.inf, 1.0])).backward()
        if scale is not None:
            trainer.optimizer_step()
            assert scaler.get_scale() == scale / 2
            assert torch.equal(model["trained"].detach(), after[scale])
            assert trainer.clip_stats.summary() == (5.0, 5.0, 1.0)
    assert after[None].tolist() == pytest.approx([-0.3, -0.35])
    assert torch.equal(after[None], after[1024.0])


def test_by_default_a_step_is_the_stock_one() -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(40) * 3 for _ in range(5)]
    after: list[torch.Tensor] = []
    for trainer_class in (DetectionTrainer, compose()):
        model = nn.ParameterList([torch.zeros(40) for _ in gradients])
        for parameter, gradient in zip(model, gradients, strict=True):
            parameter.grad = gradient.clone()
        trainer = stepping(model, trainer_class, torch.amp.GradScaler("cuda", enabled=False))
        trainer.optimizer_step()
        after.append(torch.cat([parameter.detach() for parameter in model]))
    assert float(torch.cat(gradients).norm()) > STOCK_MAX_NORM
    assert torch.equal(after[0], after[1])


@pytest.mark.parametrize(("settings", "accumulate"), [({"clip_grad_norm": 0.05}, 1), ({"clip_grad_value": 1e-4}, 2)])
def test_a_run_clips_every_step_and_counts_anew_each_epoch(
    settings: dict[str, float], accumulate: int, quick_args: QuickArgs
) -> None:
    arguments = quick_args("yolov8n.yaml", epochs=3, nbs=4 * accumulate, warmup_epochs=0, val=False)
    trainer = compose(**settings)(overrides=arguments)
    epochs: list[ClipStats] = []
    after: list[float] = []

    def watch(optimizer: Any, *_: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        after.append(float(flat.norm() if "clip_grad_norm" in settings else flat.abs().max()))

    trainer.add_callback("on_train_start", lambda trainer: trainer.optimizer.register_step_pre_hook(watch))
    trainer.add_callback("on_train_epoch_end", lambda trainer: epochs.append(trainer.clip_stats))
    trainer.train()
    bound = next(iter(settings.values()))
    assert all(value <= bound * 1.001 for value in after)
    assert [len(epoch.norms) for epoch in epochs] == ([3, 3, 3] if accumulate == 1 else [1, 2, 1])
    assert all(summary is not None and summary[2] == 1.0 for summary in (epoch.summary() for epoch in epochs))

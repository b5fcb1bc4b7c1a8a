"""Mixed precision with a real gradient scaler in a real run.

Ultralytics has it on accelerators only: on a CPU its own check says no, which is answered yes here, and the scaler that
it makes, of CUDA and thus off, is replaced by torch's for the CPU. The mathematics is that of a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.engine import trainer as upstream

from raytrainer.config.settings import Settings
from raytrainer.trainer.run import train

from .runs import differences, last_state, train_through

SETTINGS = Settings(clip_grad_norm=0.5, clip_grad_value=0.2, backbone_lr_ratio=0.1, freeze="backbone", unfreeze_epoch=1)


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[bool]]:
    """`mixed(scale)`: autocast, and gradients scaled by `scale`, which doubles with every second step.

    Gives a list that will have, for every forward pass in training, whether it was cast.
    """

    stock, autocast = torch.amp.GradScaler, upstream.autocast

    def switch_on(scale: float) -> list[bool]:
        cast: list[bool] = []

        def noted(enabled: Any, device: str = "cuda") -> Any:
            cast.append(bool(enabled))
            return autocast(enabled, device)

        monkeypatch.setattr(upstream, "check_amp", lambda _: True)
        monkeypatch.setattr(upstream, "autocast", noted)
        monkeypatch.setattr(torch.amp, "GradScaler", lambda *_, **__: stock("cpu", init_scale=scale, growth_interval=2))
        return cast

    return switch_on


def test_a_run_with_accumulation_is_clipped_at_the_true_norm_whatever_the_scale(
    trial: Any, mixed: Callable[[float], list[bool]], tmp_path: Path
) -> None:
    """Scaling by a power of two changes no bit, so that neither may the run: it is taken back before clipping."""
    config = trial(settings=SETTINGS, epochs=2, nbs=8, amp=True, warmup_epochs=0)
    for scale in (1.0, 4096.0):
        cast = mixed(scale)
        result = train_through(config, tmp_path / f"{scale:g}")
        assert cast == [True] * 6
        assert all(record.clipped_share == 1.0 for record in result.records)
    one, other = (last_state(tmp_path / f"{scale:g}") for scale in (1.0, 4096.0))
    assert other["scaler"]["scale"] > one["scaler"]["scale"] >= 2.0
    scalers = set(differences({**one, "scaler": other["scaler"]}, other))
    assert {place for place in scalers if not place.startswith("/gradients")} == set()  # those that wait are scaled


def test_a_run_is_resumed_with_its_scale(trial: Any, mixed: Callable[[float], list[bool]], tmp_path: Path) -> None:
    """In the middle of an accumulation, whose gradients wait in their scale, and after the scale has grown."""
    config = trial(settings=SETTINGS, epochs=3, nbs=8, amp=True, warmup_epochs=0)
    mixed(1024.0)
    train_through(config, tmp_path / "whole")
    train_through(config, tmp_path / "resumed", [1, 2])
    whole = last_state(tmp_path / "whole")
    assert whole["scaler"]["scale"] > 1024
    assert list(differences(whole, last_state(tmp_path / "resumed"))) == []


def test_on_a_cpu_ultralytics_goes_on_without(trial: Any, tmp_path: Path) -> None:
    """Which is why the tests above switch it on."""
    plain, asked = (
        train(trial(epochs=1, amp=amp), tmp_path / str(amp), threads=1, final_eval=False) for amp in (False, True)
    )
    assert plain.records[0].losses == asked.records[0].losses

"""Batch normalisation over ranks: when it is wanted, where it happens, and on a GPU what it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from ultralytics import YOLO

from raytrainer.trainer import sync_bn
from raytrainer.trainer.compose import compose
from raytrainer.trainer.replicas import Replica

from .launcher import QUICK, launch

QuickArgs = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("setting", "world_size", "batch", "wanted"),
    [
        (False, 8, 8, False),
        (True, 2, 256, True),
        (True, 1, 16, False),
        (True, 0, 16, False),  # a CPU without ranks
        ("auto", 2, 63, True),
        ("auto", 2, 64, False),  # 32 images a rank
        ("auto", 1, 16, False),
    ],
)
def test_when_it_is_wanted(setting: Any, world_size: int, batch: int, wanted: bool) -> None:
    assert sync_bn.wants_sync(setting, world_size, batch) is wanted


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    """A real group, so that DDP can wrap; its size is one."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("setting", [True, False, "auto"])
def test_the_model_is_converted_on_its_device_before_ddp_wraps_it(
    setting: Any, quick_args: QuickArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = compose(sync_bn=setting)(overrides=quick_args("yolov8n.yaml"))
    trainer.world_size = 2
    asked: list[torch.device] = []

    def can_sync(device: torch.device) -> bool:
        """Asked just before the conversion."""
        assert not isinstance(trainer.model, Replica)
        assert {parameter.device for parameter in trainer.model.parameters()} == {device}
        assert trainer.model.names == {0: "RBC", 1: "WBC", 2: "Platelets"}
        asked.append(device)
        return True

    monkeypatch.setattr(sync_bn, "can_sync", can_sync)
    monkeypatch.setattr(Replica, "_passing_sync_batchnorm_handle", lambda *_: None)  # DDP refuses it on a CPU
    trainer._setup_train()
    assert asked == ([trainer.device] if setting else [])
    assert isinstance(trainer.model, Replica)
    kinds = {type(module) for module in trainer.model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)}
    assert kinds == {nn.SyncBatchNorm if setting else nn.BatchNorm2d}
    grouped = {id(parameter) for group in trainer.optimizer.param_groups for parameter in group["params"]}
    assert grouped == {id(parameter) for parameter in trainer.model.parameters()}


def test_a_synchronised_model_leaves_checkpoints_that_stock_ultralytics_loads(
    quick_args: QuickArgs, bccd: Path
) -> None:
    trainer = compose(sync_bn=True)(overrides=quick_args("yolov8n.yaml"))
    trainer._setup_train()
    trainer.model = nn.SyncBatchNorm.convert_sync_batchnorm(trainer.model)
    trainer.ema.ema = nn.SyncBatchNorm.convert_sync_batchnorm(trainer.ema.ema)
    trainer.epoch, trainer.fitness, trainer.metrics = 0, 0.0, {}
    trainer.best_fitness = 0.0
    assert trainer.save_model()
    for file in (trainer.last, trainer.best):
        model = YOLO(Path(file))
        assert any(isinstance(module, nn.SyncBatchNorm) for module in model.model.modules())
        image = next((bccd.parent / "images" / "val").glob("*.jpg"))
        assert len(model.predict(image, imgsz=64, device="cpu", verbose=False)) == 1


def test_a_cpu_is_told_that_it_cannot(quick_args: QuickArgs, caplog: pytest.LogCaptureFixture) -> None:
    trainer = compose(sync_bn=True)(overrides=quick_args("yolov8n.yaml"))
    trainer.world_size = 2
    trainer.setup_model()
    trainer.set_model_attributes()
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in trainer.model.modules())
    assert "between GPUs only" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch synchronises batch normalisation on GPUs only")
def test_on_a_gpu_ranks_share_their_statistics(bccd: Path, tmp_path: Path) -> None:
    """Two ranks on one GPU, which gloo allows and NCCL does not."""
    fixed = QUICK | {"data": str(bccd), "model": "yolov8n.yaml", "device": "0", "epochs": 3, "project": str(tmp_path)}
    settings = {"freeze": 2, "unfreeze_epoch": 1}
    jobs = {
        str(sync): {"settings": settings | {"sync_bn": sync}, "arguments": fixed | {"name": str(sync)}}
        for sync in (True, False)
    }
    first, second = launch(tmp_path, jobs)
    assert first["True"]["synchronised"]
    assert first["True"]["statistics"] == second["True"]["statistics"]
    assert first["False"]["statistics"] != second["False"]["statistics"]
    for run in jobs:
        assert first[run]["digests"] == second[run]["digests"]

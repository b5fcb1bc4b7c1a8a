"""One batch shows what a configuration is, or what is wrong with it, and leaves nothing behind."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.nn.tasks import DetectionModel

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer.probe import probe


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))  # made when torch is first asked for more
    return folder


def test_what_one_batch_shows(trial: Any, scratch: Path) -> None:
    threads = torch.get_num_threads()
    report = probe(trial(settings=Settings(clip_grad_norm=0.1, backbone_lr_ratio=0.1)), threads=threads + 1)
    assert report.parameters == 234_969
    assert report.classes == ["RBC", "WBC", "Platelets"]
    assert (report.train_images, report.val_images) == (12, 6)
    assert (report.batch, report.batches) == (4, 3)
    assert set(report.losses) == {"box_loss", "cls_loss", "dfl_loss"}
    assert all(math.isfinite(loss) for loss in report.losses.values())
    assert report.seconds > 0
    assert report.device == "cpu"
    assert list(scratch.iterdir()) == []
    assert torch.get_num_threads() == threads


def test_what_a_constraint_asks_of_the_architecture_is_measured(trial: Any) -> None:
    assert probe(trial(), threads=1).measured == {}
    measured = probe(trial(settings=Settings(subject_to=["params < 10"])), threads=1).measured
    assert measured["params"] == 234_969
    assert set(measured) == {"latency_ms", "params", "GFLOPs"}


def test_label_caches_are_made_before_trials_start_together(trial: Any, bccd: Path, scratch: Path) -> None:
    caches = [bccd.parent / "labels" / f"{split}.cache" for split in ("train", "val")]
    for cache in caches:
        cache.unlink(missing_ok=True)
    probe(trial(), threads=1)
    assert all(cache.is_file() for cache in caches)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({}, {"model": "no-such.pt"}, "model: .*no-such.pt"),
        ({}, {"model": "no-such.yaml"}, "model: .*no-such.yaml' does not exist"),
        ({}, {"data": "none.yaml"}, "data: Dataset 'none.yaml' error"),
        ({}, {"epoch": 3}, "train: 'epoch' is not a valid YOLO argument"),
        ({}, {"lr0": "fast"}, "train: 'lr0=fast' is of invalid type str"),
        ({}, {"optimizer": "Adagrad"}, "train: Optimizer 'Adagrad' not found"),
        ({}, {"device": "17"}, "train.device: Invalid CUDA 'device=17' requested; there is no such device"),
        ({"freeze": 40}, {}, "freeze: the model has no layer or module"),
        ({"class_weights": {"cow": 2.0}}, {}, "class_weights: the data have no class 'cow'"),
        ({"fitness": "AP[cow]"}, {}, r"fitness: the validation gives no metric 'AP\[cow\]'"),
    ],
)
def test_mistakes_are_the_users(
    settings: dict[str, Any], arguments: dict[str, Any], message: str, trial: Any, scratch: Path
) -> None:
    with pytest.raises(UserError, match=message) as error:
        probe(trial(settings=Settings(**settings), **arguments), threads=1)
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate"), UserError, "train.batch: .*choose a smaller batch"),
        (RuntimeError("an einsum of ours is wrong"), RuntimeError, "einsum"),
    ],
)
def test_what_goes_wrong_in_the_batch(
    error: Exception, expected: type[Exception], message: str, trial: Any, scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def loss(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(DetectionModel, "loss", loss)
    with pytest.raises(expected, match=message):
        probe(trial(), threads=1)
    assert list(scratch.iterdir()) == []

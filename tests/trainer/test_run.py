"""A process that has trained before trains as a fresh one does, and a run leaves nothing behind however it ends."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from torch.backends import cudnn
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import torch_utils

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer import run
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import trainer_of
from raytrainer.trainer.process_state import threads_of_torch
from raytrainer.trainer.run import OutOfMemory, StopTraining, TrainResult, is_out_of_memory, train

from .runs import differences, stopper

FRESH = """
import json, sys
from pathlib import Path
from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings
from raytrainer.trainer.run import train
model, arguments, folder = sys.argv[1:]
train(TrialConfig(model, json.loads(arguments), Settings(), {}), Path(folder), threads=1, final_eval=False)
"""

VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def digest(result: TrainResult) -> str:
    weights = torch.load(result.last, weights_only=False)["ema"].state_dict()
    sums = hashlib.sha256()
    for tensor in weights.values():
        sums.update(tensor.numpy().tobytes())
    return sums.hexdigest()


def process_state() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "own threads": torch_utils.NUM_THREADS,
        "cv2 threads": cv2.getNumThreads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn": (cudnn.deterministic, cudnn.benchmark),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "grad": torch.is_grad_enabled(),
        "frozen": gc.get_freeze_count(),
        "environment": {name: os.environ.get(name) for name in VARIABLES},
    }


def test_a_used_process_trains_as_a_fresh_one(trial: Any, rtdetr_tiny: Path, tmp_path: Path) -> None:
    config = trial(epochs=2, nbs=8)
    command = [sys.executable, "-c", FRESH, config.model, json.dumps(config.train), str(tmp_path / "fresh")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    other = trial(rtdetr_tiny, Settings(freeze="backbone", class_weights={"WBC": 3.0}), deterministic=False, seed=7)
    with pytest.raises(StopTraining):
        train(other, tmp_path / "other", threads=2, on_epoch=stopper(1))
    with pytest.raises(UserError):
        train(trial(settings=Settings(freeze=99)), tmp_path / "failed", threads=2)
    used = train(config, tmp_path / "used", threads=1, final_eval=False)
    fresh = TrainResult(0, 0, [], tmp_path / "fresh/weights/best.pt", tmp_path / "fresh/weights/last.pt")
    assert digest(used) == digest(fresh)


@pytest.mark.parametrize(
    ("ends", "error"),
    [("finished", None), ("stopped", StopTraining), ("no data", RuntimeError), ("raised", ZeroDivisionError)],
)
def test_the_process_is_as_it_was(ends: str, error: type[Exception] | None, trial: Any, tmp_path: Path) -> None:
    def on_epoch(_: Any) -> None:
        if ends == "stopped":
            raise StopTraining
        if ends == "raised":
            raise ZeroDivisionError

    config = trial(epochs=1, data="none.yaml") if ends == "no data" else trial(epochs=1)
    before = process_state()
    if error is None:
        train(config, tmp_path / "run", threads=2, on_epoch=on_epoch)
    else:
        with pytest.raises(error):
            train(config, tmp_path / "run", threads=2, on_epoch=on_epoch)
    assert process_state() == before


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_asked_for_are_those_of_every_phase(threads: int, trial: Any, tmp_path: Path) -> None:
    """Ultralytics sets the number whenever it selects the CPU, at the end for the final validation once more."""
    seen: list[int] = []
    asked = run.build

    def build(*arguments: Any) -> Any:
        trainer = asked(*arguments)
        for event in ("on_train_batch_end", "on_val_batch_end", "on_train_end"):
            trainer.add_callback(event, lambda _: seen.append(torch.get_num_threads()))
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "build", build)
        train(trial(epochs=1), tmp_path / "run", threads=threads)
    assert set(seen) == {threads}
    with threads_of_torch(None):
        assert process_state()["own threads"] == torch_utils.NUM_THREADS


@pytest.mark.parametrize("error", [StopTraining, ArithmeticError])
def test_memory_is_freed_whatever_ends_a_run(
    error: type[Exception], trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even while the error is still held, as a result that waits to be read holds it."""
    held: list[weakref.ref[Any]] = []
    images: list[weakref.ref[Any]] = []
    loaders: list[Any] = []

    def on_train_batch_end(trainer: Any) -> None:
        if trainer.epoch == 1:
            held.extend(weakref.ref(subject) for subject in (trainer.model, trainer.ema.ema, trainer.optimizer))
            monkeypatch.setattr(trainer.train_loader, "close", lambda: loaders.append("closed"))
            raise error

    asked = run.build

    def build(*arguments: Any) -> Any:
        trainer = asked(*arguments)
        trainer.add_callback("on_train_batch_end", on_train_batch_end)
        preprocess = trainer.preprocess_batch

        def note_images(batch: Any) -> Any:
            batch = preprocess(batch)
            images[:] = [weakref.ref(batch["img"])]  # only the loop's own local variable holds the last batch
            return batch

        trainer.preprocess_batch = note_images
        return trainer

    monkeypatch.setattr(run, "build", build)
    with pytest.raises(error) as caught:
        train(trial(), tmp_path / "run", threads=1)
    assert [reference() for reference in (*held, *images)] == [None] * 4
    assert loaders == ["closed"]
    assert caught.value.__traceback__ is not None


def test_it_works_in_a_thread_of_its_own(trial: Any, tmp_path: Path) -> None:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(train(trial(epochs=1), tmp_path / "run", threads=1)))
    thread.start()
    thread.join()
    assert [record.epoch for record in results[0].records] == [1]


@pytest.mark.parametrize("source", ["yaml", "checkpoint"])
def test_it_trains_what_ultralytics_own_command_trains(
    source: str, trial: Any, pretrained: Path, tmp_path: Path
) -> None:
    """`YOLO(model).train(...)` with the same trainer; a checkpoint brings arguments of its own."""
    model = pretrained if source == "checkpoint" else trial().model
    config = trial(model, Settings(backbone_lr_ratio=0.1), epochs=1, pretrained=True)
    ours = train(config, tmp_path / "ours", threads=1, final_eval=False)
    trainer = compose(trainer_of(config.model), config.settings)
    trainer.final_evaluation = False
    with threads_of_torch(1):
        YOLO(config.model).train(**config.train, trainer=trainer, project=str(tmp_path), name="theirs")
    theirs = torch.load(tmp_path / "theirs/weights/last.pt", weights_only=False)["ema"].state_dict()
    assert list(differences(torch.load(ours.last, weights_only=False)["ema"].state_dict(), theirs)) == []


def test_a_checkpoint_brings_its_image_size(yolo_tiny: Path, tmp_path: Path) -> None:
    model = DetectionModel(str(yolo_tiny), nc=3, verbose=False)
    torch.save({"model": model, "train_args": {"imgsz": 96, "lr0": 7, "task": "detect"}}, tmp_path / "model.pt")
    assert run._of_checkpoint(str(tmp_path / "model.pt")) == {"imgsz": 96}
    assert run._of_checkpoint(str(yolo_tiny)) == {}


@pytest.mark.parametrize("fixed_batch", [True, False])
def test_out_of_memory(fixed_batch: bool, trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream halves the batch in the first epoch and goes on: good at home, but no trial of what was suggested."""
    stock = DetectionModel.loss

    def loss(self: Any, batch: Any, preds: Any = None) -> Any:
        if self.training and len(batch["img"]) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return stock(self, batch, preds)

    monkeypatch.setattr(DetectionModel, "loss", loss)
    if fixed_batch:
        with pytest.raises(OutOfMemory, match="a batch of 4 does not fit"):
            train(trial(epochs=2), tmp_path / "run", threads=1, fixed_batch=True)
        return
    with pytest.raises(StopTraining):
        train(trial(epochs=3), tmp_path / "run", threads=1, on_epoch=stopper(1))
    monkeypatch.setattr(DetectionModel, "loss", stock)
    seen: list[int] = []
    monkeypatch.setattr(DetectionModel, "loss", lambda self, batch, preds=None: (
        seen.append(len(batch["img"])) if self.training else None, stock(self, batch, preds))[1])  # fmt: skip
    result = train(trial(epochs=3), tmp_path / "run", threads=1, final_eval=False)
    assert set(seen) == {2}  # a resumed run keeps the batch that it came to
    assert len(result.records) == 3


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.cuda.OutOfMemoryError("no"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("CUDA out of memory."), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_say_that_memory_is_short(error: Exception, short: bool) -> None:
    assert is_out_of_memory(error) == short

"""An interrupted run ends in the very bits of one that was not, and a changed one is refused with all differences."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ultralytics import RTDETR, YOLO

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer import state_file
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import core_of, trainer_of
from raytrainer.trainer.records import read_records
from raytrainer.trainer.run import StopTraining, train

from .conformance_run import class_weights
from .launcher import launch
from .runs import comparable, differences, last_state, stopper, train_through

CUSTOMISED = Settings(
    backbone_lr_ratio=0.1, clip_grad_norm=0.5, freeze="backbone", unfreeze_epoch=2, class_weights={"WBC": 2.0},
    fitness="F1 + mean(AP50) - 1",
)  # fmt: skip
TRAIN_UNTIL_KILLED = """
import json, os, signal, sys
from pathlib import Path
from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings
from raytrainer.trainer.run import train

model, arguments, settings, folder, batches = sys.argv[1:]
taken = 0

def count(loader, *_):
    global taken
    taken += 1
    if taken == int(batches):
        os.kill(os.getpid(), signal.SIGKILL)

from raytrainer.trainer.data_order import LoaderPosition
follow = LoaderPosition.batch_taken
LoaderPosition.batch_taken = lambda self: (follow(self), count(self))
train(TrialConfig(model, json.loads(arguments), Settings.from_yaml(settings), {}), Path(folder), threads=1)
"""


@pytest.mark.parametrize(
    ("model", "stops", "settings", "train_arguments"),
    [
        # The last batch is full, mosaic closes after epoch 2, a step takes five batches where an epoch has three, and
        # warm-up spans the interruptions.
        ("yolov8n.yaml", [1, 2, 3], Settings(), {"nbs": 20, "close_mosaic": 2, "epochs": 4}),
        # The last batch is not full; unfrozen after epoch 2; two heads whose balance moves with the epochs.
        ("yolo26n.yaml", [1, 2, 3], CUSTOMISED, {"batch": 5, "nbs": 10, "close_mosaic": 1, "epochs": 4,
                                                 "optimizer": "MuSGD", "multi_scale": 0.5}),
        ("rtdetr-tiny", [2, 3], CUSTOMISED, {"nbs": 8, "close_mosaic": 2, "epochs": 4, "warmup_epochs": 1}),
        ("yolo-tiny", [1, 3], Settings(), {"optimizer": "SGD", "close_mosaic": 0, "cos_lr": True, "mixup": 0.5,
                                           "copy_paste": 0.2, "nbs": 12, "warmup_epochs": 0, "epochs": 4}),
    ],
    ids=["v8-accumulation", "v26-unfreeze", "rtdetr-unfreeze", "sgd-mixup"],
)  # fmt: skip
def test_a_resumed_run_is_the_uninterrupted_one(
    model: str, stops: Sequence[int], settings: Settings, train_arguments: dict[str, Any], trial: Any,
    rtdetr_tiny: Path, yolo_tiny: Path, tmp_path: Path,
) -> None:  # fmt: skip
    file = {"rtdetr-tiny": rtdetr_tiny, "yolo-tiny": yolo_tiny}.get(model, model)
    config = trial(file, settings, **train_arguments)
    whole = train_through(config, tmp_path / "whole")
    resumed = train_through(config, tmp_path / "resumed", stops)
    assert list(differences(last_state(tmp_path / "whole"), last_state(tmp_path / "resumed"))) == []
    assert (whole.best_fitness, whole.best_epoch) == (resumed.best_fitness, resumed.best_epoch)
    lines = (tmp_path / "resumed/results.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3", "4"]
    assert [record.epoch for record in read_records(tmp_path / "resumed/records.jsonl")] == [1, 2, 3, 4]


def test_ranks_are_resumed_each_with_what_was_its_own(trial: Any, tmp_path: Path) -> None:
    """Images, random states and batch statistics differ from rank to rank; interrupted at the unfreeze and after it."""
    settings = {"freeze": "backbone", "unfreeze_epoch": 1, "backbone_lr_ratio": 0.1}
    config = trial(epochs=4, nbs=8, close_mosaic=1)
    jobs = {
        name: {"model": config.model, "train": config.train, "settings": settings, "folder": str(tmp_path / name),
               "stops": stops} for name, stops in (("whole", []), ("resumed", [1, 2]))
    }  # fmt: skip
    first, second = launch(tmp_path, jobs, Path(__file__).with_name("resumed_rank.py"))
    assert list(differences(last_state(tmp_path / "whole"), last_state(tmp_path / "resumed"))) == []
    own = last_state(tmp_path / "whole")["ranks"]
    assert len(own) == 2
    assert list(differences(own[0]["random"], own[1]["random"]))
    for name in jobs:
        assert first[name] == {"told": [1, 2, 3, 4], "records": [1, 2, 3, 4]}
        assert second[name] == {"told": [], "records": []}


def test_a_killed_process_is_resumed_from_its_last_whole_epoch(trial: Any, tmp_path: Path) -> None:
    config = trial(epochs=3, nbs=8)
    train_through(config, tmp_path / "whole")
    arguments = [config.model, json.dumps(config.train), config.settings.to_yaml(), str(tmp_path / "killed"), "8"]
    done = subprocess.run([sys.executable, "-c", TRAIN_UNTIL_KILLED, *arguments], capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    seen: list[int] = []
    train(config, tmp_path / "killed", threads=1, on_epoch=lambda record: seen.append(record.epoch), final_eval=False)
    assert seen == [3]  # 3 batches an epoch: killed in the third
    assert [record.epoch for record in read_records(tmp_path / "killed/records.jsonl")] == [1, 2, 3]
    weights = [
        torch.load(tmp_path / run / "weights/last.pt", weights_only=False)["ema"].state_dict()
        for run in ("whole", "killed")
    ]
    assert list(differences(*weights)) == []


@pytest.mark.parametrize("kind", [YOLO, RTDETR])
def test_resume_true_is_exact_too(kind: Any, trial: Any, rtdetr_tiny: Path, tmp_path: Path) -> None:
    """`YOLO(last.pt).train(resume=True, trainer=...)`, as Ultralytics' users know it."""
    settings = Settings(clip_grad_norm=0.5, fitness="mAP50 - 1")
    config = trial(rtdetr_tiny if kind is RTDETR else None, settings, epochs=3, nbs=8)
    train_through(config, tmp_path / "whole")
    with pytest.raises(StopTraining):
        train(config, tmp_path / "resumed", threads=1, on_epoch=stopper(1))
    last = tmp_path / "resumed/weights/last.pt"
    with pytest.raises(UserError, match=r"clip_grad_norm: this setting was 0\.5 when the run began and is None now"):
        kind(last).train(resume=True, trainer=compose(trainer_of(config.model), fitness="mAP50 - 1"))
    trainer = compose(trainer_of(config.model), settings)
    states: list[Any] = []

    def keep(trainer: Any) -> None:
        torch.set_num_threads(1)
        states.append(torch.load(trainer.wdir / "state.pt", weights_only=True))

    torch.set_num_threads(1)
    model = kind(last)
    model.add_callback("on_train_start", lambda _: torch.set_num_threads(1))
    trainer.final_evaluation = False
    trainer.conclude = lambda self: keep(self)
    model.train(resume=True, trainer=trainer)
    assert list(differences(last_state(tmp_path / "whole"), comparable(states[0]))) == []


def test_stock_training_resumes_as_stock_does(trial: Any, tmp_path: Path) -> None:
    with pytest.raises(StopTraining):
        train(trial(settings=CUSTOMISED), tmp_path / "run", threads=1, on_epoch=stopper(1))
    model = YOLO(tmp_path / "run/weights/last.pt")
    model.train(resume=True)
    assert model.trainer.epoch == 2
    assert "Composed" not in type(model.trainer).__name__
    assert list(YOLO(tmp_path / "run/weights/last.pt").names.values()) == ["RBC", "WBC", "Platelets"]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("yolo-tiny", {}),
        ("yolo26n.yaml", {"class_weights": [1.0, 2.0, 3.0], "positives_only": True}),
        ("rtdetr-tiny", {"class_weights": [1.0, 2.0, 3.0]}),
    ],
)
def test_a_stock_run_is_resumed_with_customisations(
    model: str, settings: dict[str, Any], quick_args: Any, yolo_tiny: Path, rtdetr_tiny: Path
) -> None:
    """Class weights are nothing that its checkpoint would lack, and upstream's new criterion gets them too."""
    file = {"rtdetr-tiny": rtdetr_tiny, "yolo-tiny": yolo_tiny}.get(model, Path(model))
    stock = trainer_of(file)(overrides=quick_args(file, epochs=2))

    def interrupt(_: Any) -> None:
        raise StopTraining

    stock.add_callback("on_fit_epoch_end", interrupt)
    with pytest.raises(StopTraining):
        stock.train()
    resumed = (RTDETR if model == "rtdetr-tiny" else YOLO)(stock.last)
    customised = Settings(backbone_lr_ratio=0.5, normalize_class_weights=not settings, **settings)
    resumed.train(resume=True, trainer=compose(trainer_of(file), customised))
    (record,) = resumed.trainer.records
    assert record.epoch == 2
    assert record.lr["backbone/weight"] == pytest.approx(record.lr["head/weight"] / 2)
    moments = {len(state) for state in resumed.trainer.optimizer.state.values()}
    assert moments == {1}  # SGD's momentum, of every parameter
    losses = class_weights(core_of(resumed.trainer.model).criterion)
    assert all(loss == [customised.class_weights, customised.positives_only] for loss in losses)


def test_without_a_state_the_resume_is_upstreams_with_the_same_settings(trial: Any, tmp_path: Path) -> None:
    config = trial(settings=Settings(backbone_lr_ratio=0.5), epochs=3)
    with pytest.raises(StopTraining):
        train(config, tmp_path / "run", threads=1, on_epoch=stopper(2))
    for state in (tmp_path / "run/weights").glob("state*"):
        state.unlink()
    last = tmp_path / "run/weights/last.pt"
    with pytest.raises(UserError, match=r"backbone_lr_ratio: this setting was 0\.5 when the run began and is 1\.0 now"):
        YOLO(last).train(resume=True, trainer=compose(trainer_of(config.model)))
    model = YOLO(last)
    model.train(resume=True, trainer=compose(trainer_of(config.model), config.settings))
    assert [record.epoch for record in model.trainer.records] == [1, 2, 3]
    lines = (tmp_path / "run/results.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3"]


def test_a_damaged_state_costs_one_epoch(trial: Any, tmp_path: Path) -> None:
    config = trial(epochs=3)
    train_through(config, tmp_path / "whole")
    with pytest.raises(StopTraining):
        train(config, tmp_path / "run", threads=1, on_epoch=stopper(2))
    state = tmp_path / "run/weights/state.pt"
    state.write_bytes(state.read_bytes()[:-100])
    seen: list[int] = []
    result = train(config, tmp_path / "run", threads=1, on_epoch=lambda r: seen.append(r.epoch), final_eval=False)
    assert seen == [3]  # the second was reported, and comes out the same
    assert [record.epoch for record in read_records(tmp_path / "run/records.jsonl")] == [1, 2, 3]
    assert [r.losses for r in result.records] == [r.losses for r in read_records(tmp_path / "whole/records.jsonl")]


def test_another_number_of_threads_is_told(
    trial: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StopTraining):
        train(trial(epochs=2), tmp_path / "run", threads=1, on_epoch=stopper(1))
    monkeypatch.setattr(logging.getLogger("ultralytics"), "propagate", True)
    train(trial(epochs=2), tmp_path / "run", threads=2, final_eval=False)
    assert "may differ in the last bits, which depend on threads (was 1, is 2)" in caplog.text


def test_the_state_is_let_go_of(trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as large as the model with its optimizer."""
    with pytest.raises(StopTraining):
        train(trial(epochs=2), tmp_path / "run", threads=1, on_epoch=stopper(1))
    read, weights = state_file.read_state, []

    def note(folder: Path) -> Any:
        state = read(folder)
        assert state is not None
        weights.append(weakref.ref(next(iter(state["model"].values()))))
        return state

    monkeypatch.setattr(state_file, "read_state", note)
    kept: list[Any] = []
    train(trial(epochs=2), tmp_path / "run", threads=1, on_epoch=lambda _: kept.append(weights[0]()), final_eval=False)
    assert kept == [None]


def test_a_rate_that_a_callback_set_with_numpy_can_be_read_again(quick_args: Any, yolo_tiny: Path) -> None:
    trainer = compose()(overrides=quick_args(yolo_tiny, epochs=1))

    def set_rate(trainer: Any) -> None:
        trainer.optimizer.param_groups[0]["lr"] = np.float64(0.5)
        trainer.stopper.best_fitness = np.float64(0.25)

    trainer.add_callback("on_train_epoch_end", set_rate)
    trainer.final_evaluation = False
    trainer.conclude = lambda: None
    trainer.train()
    state = state_file.read_state(trainer.wdir)
    assert state is not None
    assert state["optimizer"]["param_groups"][0]["lr"] == 0.5

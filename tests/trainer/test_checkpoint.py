"""Checkpoints are on the disk whole or not at all, and stock Ultralytics loads them without this package."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrainer.config.settings import Settings
from raytrainer.trainer import atomic
from raytrainer.trainer.atomic import AtomicPath
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import trainer_of
from raytrainer.trainer.run import StopTraining, train
from raytrainer.trainer.state_file import FORMAT, read_state, remove_states, replace_states, write_state
from raytrainer.trainer.stock_layout import StockView, from_stock

from .runs import differences, stopper

PREDICT_WITHOUT_THIS_PACKAGE = """
import sys
sys.modules["raytrainer"] = None  # an import of it raises
import numpy
from ultralytics import RTDETR, YOLO
for kind, file in zip(sys.argv[1::2], sys.argv[2::2]):
    model = {"YOLO": YOLO, "RTDETR": RTDETR}[kind](file)
    model.predict(numpy.zeros((64, 64, 3), dtype=numpy.uint8), imgsz=64, device="cpu", verbose=False)
    assert list(model.names.values()) == ["RBC", "WBC", "Platelets"], model.names
assert not [name for name in sys.modules if name.startswith("raytrainer.")]
print("loaded", len(sys.argv) // 2)
"""


def test_a_write_that_fails_leaves_the_old_contents(tmp_path: Path) -> None:
    file = tmp_path / "file"
    atomic.write_bytes(file, b"old")

    def half(stream: Any) -> None:
        stream.write(b"new, but ")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        atomic.write(file, half)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_contents_are_on_the_disk_before_the_name_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: order.append("sync"))
    monkeypatch.setattr(os, "replace", lambda *_: order.append("rename"))
    atomic.write_bytes(tmp_path / "file", b"new")
    assert order == ["sync", "rename", "sync"]  # the last is the folder


def test_the_old_contents_can_be_kept(tmp_path: Path) -> None:
    file, old = tmp_path / "file", tmp_path / "old"
    for contents in (b"1", b"2", b"3"):
        atomic.write(file, lambda stream, contents=contents: stream.write(contents), old)
    assert (file.read_bytes(), old.read_bytes()) == (b"3", b"2")


def test_a_path_that_writes_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = AtomicPath(tmp_path) / "weights" / "last.pt"
    file.parent.mkdir()
    assert file.write_bytes(b"old") == 3
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        file.write_bytes(b"new")
    assert file.read_bytes() == b"old"


def _flip(position: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        _flip(30_000),
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda _: b"",
        lambda _: b"not a state",
    ],
    ids=["a bit", "half", "last byte", "empty", "other file"],
)
def test_a_damaged_state_is_told_and_the_one_before_it_used(
    damage: Callable[[bytes], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for epoch in (1, 2, 3):
        write_state(tmp_path, {"epoch": epoch, "model": {"weight": torch.rand(10_000)}})
    state = read_state(tmp_path)
    assert state is not None
    assert state["epoch"] == 3
    (tmp_path / "state.pt").write_bytes(damage((tmp_path / "state.pt").read_bytes()))
    logger = logging.getLogger("ultralytics")
    logger.addHandler(caplog.handler)
    try:
        state = read_state(tmp_path)
    finally:
        logger.removeHandler(caplog.handler)
    assert state is not None
    assert state["epoch"] == 2
    assert "state.pt cannot be used: it" in caplog.text


def test_a_state_killed_between_its_two_renames(tmp_path: Path) -> None:
    write_state(tmp_path, {"epoch": 1})
    (tmp_path / "state.pt").rename(tmp_path / "state.prev.pt")
    state = read_state(tmp_path)
    assert state is not None
    assert state["epoch"] == 1


def test_no_state_and_none_of_another_format(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    torch.save({"format": FORMAT + 1}, tmp_path / "state.pt")
    assert read_state(tmp_path) is None


def test_states_are_replaced_and_removed(tmp_path: Path) -> None:
    for epoch in (1, 2):
        write_state(tmp_path, {"epoch": epoch})
    replace_states(tmp_path, {"epoch": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    (tmp_path / ".state.pt.123.partial").write_bytes(b"of a process that was killed")
    (tmp_path / "best.pt").write_bytes(b"weights")
    remove_states(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_checkpoints_load_where_this_package_is_not(trial: Any, rtdetr_tiny: Path, tmp_path: Path) -> None:
    """Stripped or not, finished or not, with everything on that might leave a trace in a pickle."""
    settings = Settings(
        class_weights={"WBC": 2.0}, backbone_lr_ratio=0.1, freeze="backbone", unfreeze_epoch=1, fitness="F1 - 1"
    )
    weighted = settings.model_copy(update={"positives_only": True})
    train(trial(settings=settings, epochs=2), tmp_path / "yolo", threads=1)
    train(trial(rtdetr_tiny, weighted, epochs=2), tmp_path / "detr", threads=1, final_eval=False)
    with pytest.raises(StopTraining):
        train(trial("yolo26n.yaml", weighted), tmp_path / "v26", threads=1, on_epoch=stopper(1))
    files: list[str] = []
    for kind, folder in (("YOLO", "yolo"), ("RTDETR", "detr"), ("YOLO", "v26")):
        for name in ("best.pt", "last.pt"):
            files += [kind, str(tmp_path / folder / "weights" / name)]
    done = subprocess.run(
        [sys.executable, "-c", PREDICT_WITHOUT_THIS_PACKAGE, *files], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip().endswith("loaded 6"), done.stderr[-2000:]


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD", "MuSGD"])
@pytest.mark.parametrize("fields", [{}, {"backbone_lr_ratio": 0.1}, {"backbone_lr_ratio": 0.1, "layer_decay": 0.9}])
def test_last_pt_has_the_stock_optimizer_groups(
    optimizer: str, fields: dict[str, float], quick_args: Any, yolo_tiny: Path
) -> None:
    """Stock training could not resume it otherwise; and the way back ends where it began."""

    def stepped(trainer: Any) -> Any:
        trainer._setup_train()
        for number, parameter in enumerate(p for p in trainer.model.parameters() if p.requires_grad):
            parameter.data.fill_(number / 100)
            parameter.grad = torch.full_like(parameter, number / 10)
        trainer.optimizer.step()
        return trainer

    arguments = quick_args(yolo_tiny, optimizer=optimizer)
    stock, composed = (stepped(base(overrides=arguments)) for base in (trainer_of(yolo_tiny), compose(**fields)))
    view = StockView(composed.optimizer, composed.model).state_dict()
    expected = stock.optimizer.state_dict()
    assert list(differences(view["param_groups"], expected["param_groups"])) == []
    assert view["state"].keys() == expected["state"].keys()
    for number, moments in expected["state"].items():  # MuSGD works on groups as a whole, so that the last bit may move
        for name, moment in moments.items():
            torch.testing.assert_close(view["state"][number][name], moment)
    back = from_stock(view, composed.optimizer, composed.model)
    assert list(differences(back, composed.optimizer.state_dict())) == []
    stock.optimizer.load_state_dict(view)


def test_a_finished_run_keeps_no_tensors_but_its_weights(trial: Any, tmp_path: Path) -> None:
    result = train(trial(epochs=2), tmp_path / "run", threads=1)
    files = {path.name for path in (tmp_path / "run/weights").iterdir()}
    assert files == {"best.pt", "last.pt", "state.pt", "settings.yaml"}
    assert (tmp_path / "run/weights/state.pt").stat().st_size < 50_000
    best = torch.load(result.best, weights_only=False)
    assert best["optimizer"] is None
    assert next(best["model"].parameters()).dtype == torch.float16
    assert Settings.from_yaml((tmp_path / "run/weights/settings.yaml").read_text()) == Settings()

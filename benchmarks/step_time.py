"""Seconds a training step takes in the composed trainer, with every customisation on, beside the stock trainer.

Both trainers run in one process and take turns, a step each, so that whatever else the machine does hits both alike.
A step is from the batch in hand to the weights moved: transfer, forward, backward, clipping, optimizer, EMA.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from measuring import BLOOD_CELLS, options, publish, subset, table
from raytrainer.config.settings import Settings
from raytrainer.trainer.environment import prepare_process

NAMES = ("stock", "composed")
WARM_UP_EPOCHS = 2
"""Epochs that are not measured: the frozen backbone trains again from the second."""

EVERYTHING = Settings(
    backbone_lr_ratio=0.1,
    layer_decay=0.9,
    clip_grad_norm=1.0,
    clip_grad_value=1.0,
    freeze="backbone",
    unfreeze_epoch=1,
    class_weights="inverse_frequency",
    sync_bn="auto",
    fitness="mean(F1) + mAP50-95",
)


class Turns:
    """Lets two threads run one after another, a training step each, and times the steps."""

    def __init__(self, synchronize: bool) -> None:
        self._turn = {name: threading.Semaphore(int(name == NAMES[0])) for name in NAMES}
        self._begun = dict.fromkeys(NAMES, 0.0)
        self._synchronize = synchronize
        self.seconds: dict[str, list[float]] = {name: [] for name in NAMES}

    def take(self, name: str) -> None:
        """Wait for the turn of `name`."""
        self._turn[name].acquire()

    def give(self, name: str) -> None:
        """End the turn of `name`."""
        self._turn[NAMES[1 - NAMES.index(name)]].release()

    def begin(self, name: str) -> None:
        """A batch is there: let the other do its step, then start the clock."""
        self.give(name)
        self.take(name)
        self._begun[name] = self._now()

    def end(self, name: str, *, measured: bool) -> None:
        """Stop the clock. The turn goes on through the next batch's loading."""
        if measured:
            self.seconds[name].append(self._now() - self._begun[name])

    def _now(self) -> float:
        if self._synchronize:
            import torch

            torch.cuda.synchronize()
        return time.perf_counter()


def train_in_turns(name: str, turns: Turns, arguments: dict[str, Any]) -> None:
    """Train with the stock or the composed trainer, waiting before every step until the other has done its own."""
    from raytrainer.trainer.compose import compose
    from raytrainer.trainer.families import trainer_of

    turns.take(name)
    try:
        stock = trainer_of(arguments["model"])
        kind = stock if name == "stock" else compose(stock, EVERYTHING)
        trainer = kind(overrides=arguments | {"name": name})
        trainer.add_callback("on_train_batch_start", lambda _: turns.begin(name))
        trainer.add_callback("on_train_batch_end", lambda t: turns.end(name, measured=t.epoch >= WARM_UP_EPOCHS))
        trainer.train()
    finally:
        turns.give(name)


def paired_steps(arguments: dict[str, Any]) -> list[tuple[float, float]]:
    """Seconds of every measured pair of steps, stock and composed."""
    turns = Turns(synchronize=arguments["device"] != "cpu")
    threads = [threading.Thread(target=train_in_turns, args=(name, turns, arguments)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(zip(*(turns.seconds[name] for name in NAMES), strict=True))


def row(model: str, pairs: list[tuple[float, float]]) -> list[object]:
    """Medians, and the median of the ratios with its 95 % interval by order statistics."""
    stock, composed = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = sorted(after / before for before, after in pairs)
    reach = 0.98 * math.sqrt(len(ratios))
    low, high = (ratios[int(len(ratios) / 2 + sign * reach)] for sign in (-1, 1))
    middle = statistics.median(ratios)
    interval = f"{low:.4f} to {high:.4f}"
    return [Path(model).stem, len(pairs), f"{1e3 * stock:.2f}", f"{1e3 * composed:.2f}", f"{middle:.4f}", interval]


def arguments_of(options: argparse.Namespace, model: str, data: Path, folder: str) -> dict[str, Any]:
    """The Ultralytics arguments of both trainers."""
    return {
        "model": model, "data": str(data), "epochs": options.epochs + WARM_UP_EPOCHS, "imgsz": options.imgsz,
        "batch": options.batch, "nbs": options.batch, "device": options.device, "amp": options.amp, "workers": 0,
        "optimizer": "AdamW", "lr0": 0.001, "mosaic": 0.0, "val": False, "save": False, "plots": False,
        "pretrained": False, "project": folder, "exist_ok": True, "verbose": False,
    }  # fmt: skip


def main() -> None:
    """Measure each model and print one row for it."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, default=BLOOD_CELLS)
    parser.add_argument("--models", nargs="+", default=["yolov8n.yaml", "tests/models/rtdetr-tiny.yaml"])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=30, help="measured epochs")
    parser.add_argument("--imgsz", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action="store_true", help="mixed precision, on a GPU")
    chosen = parser.parse_args()
    prepare_process(offline=True)
    rows = []
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as folder:
            data = subset(chosen.data, Path(folder) / "data", train=chosen.images, val=8)
            rows.append(row(model, paired_steps(arguments_of(chosen, model, data, folder))))
    header = ["model", "pairs of steps", "stock, ms", "composed, ms", "ratio", "95 % interval"]
    publish("step_time", table(header, rows), write=chosen.write)


if __name__ == "__main__":
    main()

"""Seconds a training step takes in the composed trainer, with every customisation on, beside the stock trainer.

Both trainers run in one process and take turns, a step each, so that whatever else the machine does hits both alike.
One pair of trainers still differs from the next by some percent, by where their memory lies: hence several rounds.
A step is from the batch in hand to the weights moved: transfer, forward, backward, clipping, optimizer, EMA. On a CPU
its CPU time is taken, into which other processes do not enter; on a GPU the wall time with the GPU's work done.
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

from measuring import BLOOD_CELLS, options, publish, standard_error, subset, table
from raytrainer.config.settings import Settings
from raytrainer.trainer.environment import prepare_process

NAMES = ("stock", "composed")
WARM_UP_EPOCHS = 2
"""Epochs that are not measured: the frozen backbone trains again from the second."""

EVERYTHING = Settings(
    backbone_lr_ratio=0.1,
    layer_decay=0.9,
    clip_grad_norm=1.0,
    clip_grad_value=0.1,
    freeze="backbone",
    unfreeze_epoch=1,
    class_weights="inverse_frequency",
    sync_bn="auto",
    fitness="mean(F1) + mAP50-95",
)


class Turns:
    """Lets two threads run one after another, a training step each, and times the steps."""

    def __init__(self, first: str, *, gpu: bool) -> None:
        self._turn = {name: threading.Semaphore(int(name == first)) for name in NAMES}
        self._begun = dict.fromkeys(NAMES, 0.0)
        self._gpu = gpu
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
        if not self._gpu:
            return time.process_time()
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


def medians(arguments: dict[str, Any], first: str) -> tuple[float, float]:
    """Train both in turns, `first` beginning; the median seconds of a step, stock and composed."""
    turns = Turns(first, gpu=arguments["device"] != "cpu")
    threads = [threading.Thread(target=train_in_turns, args=(name, turns, arguments)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stock, composed = (statistics.median(turns.seconds[name]) for name in NAMES)
    return stock, composed


def row(model: str, rounds: list[tuple[float, float]]) -> list[object]:
    """Means over the rounds, and the geometric mean of the rounds' ratios with its standard error."""
    stock, composed = (1e3 * statistics.fmean(column) for column in zip(*rounds, strict=True))
    logarithms = [math.log(after / before) for before, after in rounds]
    ratio = math.exp(statistics.fmean(logarithms))
    shown = f"{ratio:.3f} ± {ratio * standard_error(logarithms):.3f}"
    return [Path(model).stem, len(rounds), f"{stock:.2f}", f"{composed:.2f}", shown]


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
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=8, help="measured epochs of a round")
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action="store_true", help="mixed precision, on a GPU")
    chosen = parser.parse_args()
    prepare_process(offline=True)
    measured: dict[str, list[tuple[float, float]]] = {model: [] for model in chosen.models}
    with tempfile.TemporaryDirectory() as folder:
        data = subset(chosen.data, Path(folder) / "data", train=chosen.images, val=8)
        for number in range(chosen.rounds):
            for model, rounds in measured.items():
                rounds.append(medians(arguments_of(chosen, model, data, folder), NAMES[number % 2]))
    header = ["model", "rounds", "stock, ms", "composed, ms", "ratio"]
    rows = [row(model, rounds) for model, rounds in measured.items()]
    publish("step_time", table(header, rows), write=chosen.write)


if __name__ == "__main__":
    main()

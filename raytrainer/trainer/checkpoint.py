"""Checkpoints on disk: last.pt and best.pt in Ultralytics' format, and state.pt for an exact resume."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ultralytics import __version__
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model

from raytrainer.trainer import state_file
from raytrainer.trainer.atomic import AtomicPath
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.data_order import LoaderPosition
from raytrainer.trainer.ranks import is_main
from raytrainer.trainer.records import EpochRecord
from raytrainer.trainer.run_state import plain, rank_states, shared_state
from raytrainer.trainer.stock_layout import StockView, from_stock

SETTINGS_FILE = "settings.yaml"
RECORDS_FILE = "records.jsonl"


class Checkpoints(Customisation):
    """Runs on `save_model` and `_load_checkpoint_state`, and writes the state when the epoch's record is ready.

    last.pt and best.pt are what upstream writes, so that stock Ultralytics reads them without this package; only the
    writing is made whole or not at all. best.pt holds the last of the epochs that reached the best fitness.
    """

    records: list[EpochRecord]
    """One for every validated epoch so far, those before a resume included."""
    position: LoaderPosition
    """Where the train loader stands."""
    arguments: Mapping[str, Any]
    """Training arguments as they were asked for, before the set-up settled some of them."""
    given: Mapping[str, Any] | None = None
    """What `raytrainer.trainer.run.train` was asked for, to compare without building a trainer."""
    optimizer: Any
    wdir: Path
    last: Path
    best: Path
    mosaic_closed = False
    _saved_epoch = -1

    def save_model(self) -> bool:
        """Write last.pt, and best.pt if this epoch's fitness is the best, as upstream does but atomically."""
        self.wdir, self.last, self.best = (AtomicPath(path) for path in (self.wdir, self.last, self.best))
        own, self.optimizer = self.optimizer, StockView(self.optimizer, unwrap_model(self.model))
        try:
            saved = bool(super().save_model())
        finally:
            self.optimizer = own
        self._saved_epoch = self.epoch
        return saved

    def _load_checkpoint_state(self, ckpt: dict[str, Any]) -> None:
        """Load as upstream does, from a checkpoint of stock training too, whose optimizer has the stock groups."""
        saved = ckpt.get("optimizer")
        if saved is not None:
            ckpt = {**ckpt, "optimizer": from_stock(saved, self.optimizer, unwrap_model(self.model))}
        super()._load_checkpoint_state(ckpt)

    def keep_state(self) -> None:
        """Write state.pt if upstream saved this epoch too; every rank must call this after every epoch."""
        if not (self.args.save or self.epoch + 1 >= self.epochs):
            return
        ranks = rank_states(self, self.position.state(self.train_loader))
        if is_main() and self._saved_epoch == self.epoch:
            state_file.write_state(Path(self.wdir), {**self._summary(), **shared_state(self), "ranks": ranks})

    def conclude(self) -> None:
        """Replace the state of a finished run by its summary: no tensor of it is needed any more."""
        if self._saved_epoch >= 0:
            state_file.replace_states(Path(self.wdir), self._summary())

    def _summary(self) -> dict[str, Any]:
        """What tells the run's story and with what it was trained; all plain data."""
        return {
            "epoch": self.epoch + 1,
            "finished": bool(self.stop),
            "settings": self.settings.model_dump(mode="json"),
            "arguments": {"asked": self.arguments, "settled": plain(vars(self.args)), "given": self.given},
            "data": data_of(self),
            "world_size": max(self.world_size, 1),
            "place": place_of(self),
            "records": [record.to_json() for record in self.records],
            "csv": self.csv.read_text(encoding="utf-8") if self.csv.exists() else "",
            "seconds": time.time() - self.train_time_start,
            "mosaic_closed": self.mosaic_closed,
            "last_step": self.last_step,
        }


def data_of(trainer: Any) -> dict[str, Any]:
    """What a resumed run must find again, whatever path the dataset has on its machine."""
    return {
        "train images": len(trainer.train_loader.dataset),
        "validation images": len(trainer.test_loader.dataset),
        "classes": list(trainer.data["names"].values()),
    }


def place_of(trainer: Any) -> dict[str, Any]:
    """What the last bits of a result depend on beside the arguments."""
    return {
        "torch": str(torch.__version__),
        "ultralytics": __version__,
        "device": trainer.device.type,
        "threads": torch.get_num_threads() if trainer.device.type == "cpu" else 0,
    }


def strip(weights: Path) -> None:
    """Make checkpoints for use of last.pt and best.pt: half precision, no optimizer; each whole or not at all.

    best.pt gets the results of the whole run, as upstream does it in `BaseTrainer.final_eval`.
    """
    results: dict[str, Any] = {}
    for path in (weights / "last.pt", weights / "best.pt"):
        if path.exists():
            partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
            stripped = strip_optimizer(path, str(partial), updates=results)
            results = {"train_results": stripped.get("train_results")}
            os.replace(partial, path)

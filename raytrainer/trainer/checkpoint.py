"""Checkpoints on disk: last.pt and best.pt in Ultralytics' format, and state.pt for an exact resume."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from ultralytics import __version__
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model

from raytrainer.trainer import state_file
from raytrainer.trainer.atomic import AtomicPath, nothing_left, put
from raytrainer.trainer.checkpoint_times import CheckpointTimes
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.data_order import LoaderPosition
from raytrainer.trainer.ranks import from_rank_0, is_main
from raytrainer.trainer.records import EpochRecord
from raytrainer.trainer.run_state import plain, rank_states, shared_state
from raytrainer.trainer.stock_layout import StockView, from_stock

SETTINGS_FILE = "settings.yaml"
RECORDS_FILE = "records.jsonl"


class Checkpoints(Customisation):
    """Runs on `save_model` and `_load_checkpoint_state`, and writes the state when the epoch's record is ready.

    last.pt and best.pt are what upstream writes, so that stock Ultralytics reads them without this package; only the
    writing is made whole or not at all. best.pt holds the last of the epochs that reached the best fitness. A best
    epoch between two checkpoints is put aside until the next: a run that is resumed before it has not had that epoch.
    """

    records: list[EpochRecord]
    """One for every validated epoch so far, those before a resume included."""
    position: LoaderPosition
    """Where the train loader stands."""
    arguments: Mapping[str, Any]
    """Training arguments as they were asked for, before the set-up settled some of them."""
    given: Mapping[str, Any] | None = None
    """What `raytrainer.trainer.run.train` was asked for, to compare without building a trainer."""
    until: int | None = None
    since: int = 0
    """Epochs done when the present values came into force."""
    history: Sequence[Any] = ()
    """Those before (see `raytrainer.trainer.value_schedule.Stage.history`)."""
    optimizer: Any
    wdir: Path
    last: Path
    best: Path
    best_fitness: float | None
    fitness: float | None
    mosaic_closed = False
    _saved_epoch = -1

    @cached_property
    def checkpoint_times(self) -> CheckpointTimes:
        """When the next one is due."""
        return CheckpointTimes(self.settings.checkpoint_every)

    def save_model(self) -> bool:
        """Write last.pt, and best.pt if this epoch's fitness is the best, as upstream does but atomically, when due.

        Raises:
            DiskFull: if there is no space for it; the checkpoint before stays whole.
        """
        self.wdir, self.last, self.best = (AtomicPath(path) for path in (self.wdir, self.last, self.best))
        aside = self.wdir / state_file.BEST_ASIDE
        is_best = self.best_fitness == self.fitness
        if not self._due():
            return self._save_aside(aside) if is_best else False
        self.check_owner()
        saved = self._save_as_upstream()
        if is_best:
            aside.unlink(missing_ok=True)
        elif aside.exists():
            os.replace(aside, self.best)
        self._saved_epoch = self.epoch
        self.checkpoint_times.note()
        return saved

    def _due(self) -> bool:
        """Upstream's own checkpoint of every few epochs, `save_period`, is one too, and that of a stage's end."""
        last = bool(self.stop) or self.epoch + 1 in (self.epochs, self.until)
        kept = self.args.save_period > 0 and self.epoch % self.args.save_period == 0
        return last or kept or self.checkpoint_times.due(self.epoch + 1)

    def _save_aside(self, aside: Path) -> bool:
        last, best, self.last, self.best = self.last, self.best, aside, aside
        try:
            self._save_as_upstream()
        finally:
            self.last, self.best = last, best
        return False

    def _save_as_upstream(self) -> bool:
        own, self.optimizer = self.optimizer, StockView(self.optimizer, unwrap_model(self.model))
        try:
            return bool(super().save_model())
        finally:
            self.optimizer = own

    def go_on_from_checkpoint(self) -> None:
        """The run begins after an epoch that has one; what came after it is to be trained again."""
        self._saved_epoch = self.start_epoch - 1
        self.checkpoint_times.note()

    def save_what_is_left(self) -> None:
        """The checkpoint of the last epoch, if the run was stopped when it was not known to be the last."""
        if self.args.save and self._saved_epoch != self.epoch:
            self.stop = True  # which makes it due
            self.save_model()

    def _load_checkpoint_state(self, ckpt: dict[str, Any]) -> None:
        """Load as upstream does, from a checkpoint of stock training too, whose optimizer has the stock groups.

        One from before the present values came into force, as a recovery from NaN finds it, has those of another stage.
        """
        saved = ckpt.get("optimizer")
        if saved is not None:
            of_stage = ckpt.get("epoch", -1) + 1 > self.since
            state = from_stock(saved, self.optimizer, unwrap_model(self.model), values=of_stage)
            ckpt = {**ckpt, "optimizer": state}
        super()._load_checkpoint_state(ckpt)

    def keep_state(self) -> None:
        """Write state.pt if last.pt was written too; every rank must call this after every epoch."""
        if not from_rank_0(self._saved_epoch == self.epoch):
            return
        ranks = rank_states(self, self.position.state(self.train_loader))
        if is_main():
            self.check_owner()
            state_file.write_state(Path(self.wdir), {**self._summary(), **shared_state(self), "ranks": ranks})

    def conclude(self) -> None:
        """Replace the state of a finished run by its summary: no tensor of it is needed any more."""
        if self._saved_epoch >= 0:
            state_file.replace_states(Path(self.wdir), {**self._summary(), "finished": True})

    def _summary(self) -> dict[str, Any]:
        """What tells the run's story and with what it was trained; all plain data."""
        return {
            "epoch": self.epoch + 1,
            "finished": bool(self.stop),
            "settings": self.settings.model_dump(mode="json"),
            "arguments": {"asked": self.arguments, "settled": plain(vars(self.args)), "given": self.given},
            "since": self.since,
            "history": self.history,
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

    Raises:
        DiskFull: if there is no space for it; the checkpoints stay as they are.
    """
    results: dict[str, Any] = {}
    for path in (weights / "last.pt", weights / "best.pt"):
        if path.exists():
            partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
            with nothing_left(partial):
                stripped = strip_optimizer(path, str(partial), updates=results)
            results = {"train_results": stripped.get("train_results")}
            put(partial, path)

"""Every validated epoch is reported exactly once, after its checkpoint is on the disk."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ultralytics.utils import LOGGER

from raytrainer.trainer.atomic import full_disk_told
from raytrainer.trainer.checkpoint import RECORDS_FILE, strip
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.metrics import added_columns, named_metrics, table
from raytrainer.trainer.param_groups import learning_rates
from raytrainer.trainer.ranks import from_rank_0, is_main, launched
from raytrainer.trainer.records import EpochRecord, append_record, write_records


class StopTraining(Exception):
    """Raised by `on_epoch` to abandon the run at once, without a final evaluation. It can be resumed."""


class Reporting(Customisation):
    """Runs on `on_fit_epoch_end`, `save_metrics` and `final_eval`.

    Upstream runs `on_fit_epoch_end` once more during its final evaluation, one epoch too far, with the metrics of
    best.pt; that one is no epoch, and neither is one that was not validated. Only the epoch that was validated last,
    when the event comes, has a record.
    """

    events = {"on_fit_epoch_end": "_end_epoch"}

    on_epoch: Callable[[EpochRecord], None] | None = None
    """Called on rank 0 with every record, once."""
    final_evaluation = True
    """Whether best.pt is stripped and validated at the end."""
    abandoned: StopTraining | None = None
    """Why several ranks are leaving the loop together; set on each of them when they have left it."""
    told: dict[int, EpochRecord]
    """By epoch, the records that were reported before the run was interrupted, of epochs that it trains again."""
    epoch: int
    epoch_time_start: float
    metrics: dict[str, Any]
    records: list[EpochRecord]

    def _end_epoch(self) -> None:
        record = self._record() if is_main() and self.validated_epoch == self.epoch else None
        if record is not None:
            self.records.append(record)
        self.keep_state()
        if record is None:
            return
        before = self.told.pop(record.epoch, None)
        self.check_owner()
        if before is None:
            append_record(self.save_dir / RECORDS_FILE, record)
            self._tell(record)
        else:
            write_records(self.save_dir / RECORDS_FILE, [*self.records, *self.told.values()])
            if str((before.fitness, before.losses)) != str((record.fitness, record.losses)):
                LOGGER.warning(f"epoch {record.epoch}, trained again, is another: its fitness was {before.fitness}")

    def _tell(self, record: EpochRecord) -> None:
        """With several ranks, a stop is left to the loop, which ends all of them together after this epoch."""
        if self.on_epoch is None:
            return
        told = time.time()
        try:
            self.on_epoch(record)
        except StopTraining as stop:
            if not launched():
                raise
            self.abandoned, self.stop = stop, True
        self.epoch_time_start += time.time() - told  # upstream counts the next epoch from before this

    def _record(self) -> EpochRecord:
        best_now = self.best_fitness is not None and self.best_fitness == self.fitness
        norm, largest, clipped = self.clip_stats.summary() or (None, None, None)
        return EpochRecord(
            epoch=self.epoch + 1,
            fitness=self.epoch_fitness,
            best_fitness=self.epoch_fitness if best_now else self._best_fitness_before(),
            best_epoch=self.epoch + 1 if best_now else self._best_epoch_before(),
            metrics=dict(self.epoch_metrics),
            others=list(self.epoch_others),
            violations=list(self.epoch_violations),
            losses=self._losses(),
            lr=learning_rates(self.optimizer),
            grad_norm=norm,
            grad_norm_max=largest,
            clipped_share=clipped,
            epoch_seconds=float(self.epoch_time),
            peak_memory=peak_memory(self.device),
        )

    def _best_fitness_before(self) -> float:
        if self.records:
            return self.records[-1].best_fitness
        return math.nan if self.best_fitness is None else float(self.best_fitness)

    def _best_epoch_before(self) -> int:
        """Of a run that upstream's resume took up without its records, the stopper knows."""
        return self.records[-1].best_epoch if self.records else int(self.stopper.best_epoch)

    def _losses(self) -> dict[str, float]:
        validation = {key: float(value) for key, value in self.metrics.items() if key.startswith("val/")}
        return {**self.label_loss_items(self.tloss), **validation}

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Add a line to results.csv, with the columns of its first line, whatever this epoch has computed.

        What clipping did joins the epoch's metrics, for loggers and the checkpoint too.
        """
        self.check_owner()
        added = added_columns(named_metrics(type(self.validator.metrics)(), self.data["names"]))
        gradients = self.clip_stats.columns()
        self.metrics = {**self.metrics, **gradients}
        stock = [key for key in metrics if key not in added and key not in gradients]
        columns = self._columns() or [*stock, *added, *gradients]
        values = {**metrics, **gradients}
        with full_disk_told():
            super().save_metrics({key: values.get(key, math.nan) for key in columns})

    def _columns(self) -> list[str]:
        """Those of results.csv so far, but for epoch and time, which upstream adds; none before its first line."""
        return self.csv.read_text(encoding="utf-8").partition("\n")[0].split(",")[2:] if self.csv.exists() else []

    def final_eval(self) -> None:
        """Strip and validate best.pt as upstream does, on one rank only, and print the best epoch by class.

        Upstream's validation over several ranks fails on a CPU, and may wait for ever for one that sees no best.pt.
        """
        if from_rank_0(self.abandoned is not None):
            self.abandoned = self.abandoned or StopTraining()
            return
        if is_main():
            self.save_what_is_left()
        if is_main() and self.final_evaluation:
            strip(Path(self.wdir))
        if self.final_evaluation and not launched() and self.best.exists():
            self._validate_best()
        if is_main():
            self._show_best()
            self.conclude()

    def _validate_best(self) -> None:
        """Source: `BaseTrainer.final_eval` of ultralytics 8.4.190."""
        LOGGER.info(f"\nValidating {self.best}...")
        self.validator.args.plots = self.args.plots
        self.validator.args.compile = False
        self.metrics = self.validator(model=Path(self.best))
        self.metrics.pop("fitness", None)
        self.metrics |= added_columns(named_metrics(self.validator.metrics, self.data["names"]))
        self.epoch += 1
        self.run_callbacks("on_fit_epoch_end")
        self.epoch -= 1

    def _show_best(self) -> None:
        best = next((record for record in self.records if record.epoch == self.records[-1].best_epoch), None)
        if best is not None:
            LOGGER.info(f"\nBest epoch {best.epoch}, fitness {best.fitness:.5g}")
            LOGGER.info(table(best.metrics, self.data["names"]))


def peak_memory(device: torch.device) -> int:
    """Bytes: most allocated on the GPU since its counter was reset, or the process's largest resident set."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

"""One training run from beginning to end, in a process that may have trained before and will train again."""

from __future__ import annotations

import gc
import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.tasks import load_checkpoint

from raytrainer.trainer import state_file
from raytrainer.trainer.atomic import DiskFull, full_disk_told
from raytrainer.trainer.checkpoint import RECORDS_FILE, strip
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import trainer_of
from raytrainer.trainer.fitness import NonFinite
from raytrainer.trainer.ownership import claim, let_go
from raytrainer.trainer.process_state import quick_collections, restored_process, threads_of_torch
from raytrainer.trainer.ranks import is_main
from raytrainer.trainer.records import EpochRecord, told_since
from raytrainer.trainer.reporting import StopTraining
from raytrainer.trainer.state_file import State
from raytrainer.trainer.value_schedule import Stage, StageEnd, check_same, given

if TYPE_CHECKING:
    from raytrainer.config.assemble import TrialConfig

__all__ = ["DiskFull", "NonFinite", "OnEpoch", "OutOfMemory", "StopTraining", "TrainResult", "train"]

OnEpoch = Callable[[EpochRecord], None]
HEAVY = ("model", "ema", "optimizer", "scheduler", "scaler", "validator", "train_loader", "test_loader", "loss",
         "loss_items", "tloss", "saved_state", "_unfinished", "_gradients_of")  # fmt: skip
"""What a trainer holds that keeps memory."""


class OutOfMemory(MemoryError):
    """The device's memory, or the machine's, does not hold the model with a batch of this size."""


@dataclass(frozen=True)
class TrainResult:
    """What a finished run gave. On ranks above 0 there are no records, a fitness of NaN and epoch 0."""

    best_fitness: float
    best_epoch: int
    """Counted from 1."""
    records: list[EpochRecord]
    best: Path
    """best.pt, the weights of the best epoch."""
    last: Path


def train(
    config: TrialConfig,
    save_dir: str | Path,
    *,
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
    final_eval: bool = True,
    resume: bool = True,
    replay: bool = False,
    fixed_batch: bool = False,
    on_batch: Callable[[], None] | None = None,
    measured: Path | None = None,
) -> TrainResult:
    """Train one configuration, or go on with it where it was interrupted.

    One whose values change while it trains goes on with the next ones by itself (see `value_schedule`).

    Works in any thread, several times in one process, and on every rank of an initialised `torch.distributed` group.

    Args:
        config: model, Ultralytics arguments and settings.
        save_dir: takes weights/ with settings.yaml, args.yaml, records.jsonl and results.csv. All ranks must see it.
        threads: threads of torch on a CPU; None leaves Ultralytics' choice. The same number gives the same bits.
        on_epoch: called on rank 0 with the record of every validated epoch, once, when its checkpoint is on the disk.
        final_eval: whether to strip and validate best.pt at the end; the checkpoints load without it too.
        resume: go on exactly if `save_dir` holds a state; a finished run gives its result without training.
        replay: on a resume, call `on_epoch` first with the records of the epochs that were done before, those that
            were reported since the last checkpoint included. They are trained again, and not reported again.
        fixed_batch: raise `OutOfMemory` where upstream would halve the batch in the first epoch and go on.
        on_batch: called on every rank after every batch, of training and of validation.
        measured: folder in which the runs of a study keep what they measured of architectures; None for a run of its
            own.

    Raises:
        UserError: if settings or arguments changed since the run began, or ask for what cannot be.
        StopTraining: if `on_epoch` raised it; the run can be resumed.
        RuledOut: before the first epoch of a study's run, if its architecture violates a constraint.
        NonFinite: with `on_nan: fail`, in a study if a fitness is not finite, or if no epoch had a finite one.
        OutOfMemory: as it says.
        DiskFull: if the folder's disk is. The last checkpoint is whole, and the run can be resumed.
    """
    folder = Path(save_dir).resolve()
    while True:
        try:
            return _train(
                config, folder, threads=threads, on_epoch=on_epoch, final_eval=final_eval, resume=resume,
                replay=replay, fixed_batch=fixed_batch, on_batch=on_batch, measured=measured,
            )  # fmt: skip
        except StageEnd:
            resume, replay = True, False


def _train(
    config: TrialConfig,
    folder: Path,
    *,
    threads: int | None,
    on_epoch: OnEpoch | None,
    final_eval: bool,
    resume: bool,
    replay: bool,
    fixed_batch: bool,
    on_batch: Callable[[], None] | None,
    measured: Path | None,
) -> TrainResult:
    """Train with the values that are in force now, to the end; `StageEnd` is raised where they change."""
    with restored_process(), quick_collections(), threads_of_torch(threads), full_disk_told():
        token = claim(folder) if is_main() else b""
        state = state_file.read_state(folder / "weights") if resume else None
        if state is not None:
            check_same(state, config, folder)
            if on_epoch is not None and replay and is_main():
                _replay(state, folder, on_epoch)
            if state["finished"]:
                let_go(folder, token)
                return _finished(state, folder, final_eval)
        stage = Stage.after(0 if state is None else state["epoch"], config)
        trainer = build(stage.config, folder, stage.taking_up(state))
        del state  # as large as a model with its optimizer; the trainer lets go of it when its first batch is there
        trainer.on_epoch, trainer.final_evaluation, trainer.owner_token = on_epoch, final_eval, token
        trainer.measured_for = measured
        trainer.until, trainer.since, trainer.history = stage.until, stage.since, stage.history
        if fixed_batch:
            trainer.add_callback("on_train_epoch_start", refuse_smaller_batch)
        if on_batch is not None:
            _call_after_batches(trainer, on_batch)
        return _run(trainer)


def build(config: TrialConfig, folder: Path, state: State | None = None) -> Any:
    """The composed trainer of a configuration, which writes to `folder` and goes on from `state`.

    Raises:
        UserError, FileNotFoundError, SyntaxError, ValueError: as Ultralytics and the settings do on a bad argument.
    """
    composed = compose(trainer_of(config.model, config.train.get("task")), config.settings)
    composed.saved_state, composed.given = state, given(config)
    asked = {**config.train, "model": config.model}
    overrides = {**_of_checkpoint(config.model), **asked, "mode": "train", "save_dir": str(folder), "exist_ok": True}
    trainer = composed(overrides=overrides)
    composed.saved_state = None
    return trainer


def _of_checkpoint(model: str) -> dict[str, Any]:
    """Arguments that a checkpoint brings along where none are given. Source: `Model._reset_ckpt_args` of 8.4.190."""
    if not model.endswith(".pt"):
        return {}
    trained_with: Mapping[str, Any] = load_checkpoint(model)[1].get("train_args", {})
    return {key: trained_with[key] for key in ("imgsz", "single_cls") if key in trained_with}


def _replay(state: State, folder: Path, on_epoch: OnEpoch) -> None:
    records = [EpochRecord.from_json(line) for line in state["records"]]
    for record in (*records, *told_since(folder / RECORDS_FILE, records)):
        on_epoch(record)


def _finished(state: State, folder: Path, final_eval: bool) -> TrainResult:
    """A run that ended, if not by its own last steps: its process may have died before them."""
    if is_main() and "model" in state:
        if final_eval:
            strip(folder / "weights")
        summary = {key: state[key] for key in state if key not in ("model", "ema", "optimizer", "gradients", "ranks")}
        state_file.replace_states(folder / "weights", summary)
    return _result([EpochRecord.from_json(line) for line in state["records"]] if is_main() else [], folder)


def _run(trainer: Any) -> TrainResult:
    folder = Path(trainer.save_dir)
    try:
        _reset_peak_memory(trainer.device)
        trainer.train()
        if trainer.abandoned is not None:
            raise trainer.abandoned
        return _result(trainer.records if is_main() else [], folder)
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # they hold the last batch and its graph
        if is_out_of_memory(error):
            raise OutOfMemory(str(error)) from error
        raise
    finally:
        release(trainer)


def _call_after_batches(trainer: BaseTrainer, on_batch: Callable[[], None]) -> None:
    for event in ("on_train_batch_end", "on_val_batch_end"):
        trainer.add_callback(event, lambda _: on_batch())


def _result(records: list[EpochRecord], folder: Path) -> TrainResult:
    fitness, epoch = (records[-1].best_fitness, records[-1].best_epoch) if records else (math.nan, 0)
    if records and math.isnan(fitness):
        raise NonFinite(records[-1].epoch, "fitness")
    weights = folder / "weights"
    return TrainResult(fitness, epoch, list(records), weights / "best.pt", weights / "last.pt")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on a GPU or in the machine."""
    text = str(error).lower()
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )


def refuse_smaller_batch(trainer: BaseTrainer) -> None:
    """Callback of `on_train_epoch_start`: upstream has just halved the batch and would train with that.

    Raises:
        OutOfMemory: if it has.
    """
    if trainer._oom_retries:
        raise OutOfMemory(f"out of memory: a batch of {trainer.arguments['batch']} does not fit")


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def release(trainer: Any) -> None:
    """Close the loaders and let go of everything heavy, however the run ended."""
    for name in ("train_loader", "test_loader"):
        loader: Any = getattr(trainer, name, None)
        if hasattr(loader, "close"):
            loader.close()
    for name in HEAVY:
        setattr(trainer, name, None)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

"""Trains one row of the conformance table, alone or as one of several ranks, and notes what can be seen of it."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings
from raytrainer.trainer import run
from raytrainer.trainer.families import core_of
from raytrainer.trainer.records import EpochRecord

from .fitness_by_epoch import EPOCH
from .one_rank import digest
from .runs import comparable, differences

Job = Mapping[str, Any]
"""`model`, `train` and `settings` as a `TrialConfig` has them, `folder`, and `interrupted_after`: an epoch or None."""


def train_row(job: Job) -> dict[str, Any]:
    """What was seen of the whole run, of the one that went on from a copy of its folder, and where they differ.

    The copy is made when the epoch's record is told: it is what a process that dies then leaves behind. Plain data.
    """
    folder, stop = Path(job["folder"]), job["interrupted_after"]
    whole = Watch(job, folder / "whole", copy={stop: folder / "resumed"} if stop else {})
    whole.train()
    if not stop:
        return {"whole": whole.seen}
    resumed = Watch(job, folder / "resumed")
    resumed.train()
    return {
        "whole": whole.seen,
        "resumed": resumed.seen,
        "differences": list(differences(whole.state, resumed.state)),
    }


class Watch:
    """One run, and what was seen of it."""

    def __init__(self, job: Job, folder: Path, copy: Mapping[int, Path] | None = None) -> None:
        self.folder, self.copy = folder, copy or {}
        self.config = TrialConfig(job["model"], dict(job["train"]), Settings(**job["settings"]), {})
        self.seen: dict[str, Any] = {"told": [], "averages": {}, "steps": [], "epochs": [], "checkpoints": []}
        self.trainer: Any = None
        self.written = 0
        """When state.pt was last written, in nanoseconds."""
        self.state: Mapping[str, Any] = {}
        """All that would determine a next epoch, and the history, on rank 0."""

    def train(self) -> None:
        """Train to the end, with the final evaluation, which counts as no epoch."""
        build = run.build

        def watched(*arguments: Any) -> Any:
            self.trainer = trainer = build(*arguments)
            trainer.add_callback("on_train_start", self._start)
            trainer.add_callback("on_train_epoch_start", self._begin_epoch)
            trainer.add_callback("on_train_epoch_end", self._end_epoch)
            return trainer

        with patch.object(run, "build", watched):
            result = run.train(self.config, self.folder, threads=1, on_epoch=self._told)
        self.seen["records"] = [asdict(record) for record in result.records]
        self.seen["result"] = {"best_epoch": result.best_epoch, "best_fitness": result.best_fitness}

    def _told(self, record: EpochRecord) -> None:
        file = self.folder / "weights" / "state.pt"
        written = file.stat().st_mtime_ns
        average = self.trainer.ema.ema.state_dict().values()
        halves = [tensor.half() if tensor.is_floating_point() else tensor for tensor in average]
        self.seen["told"].append(record.epoch)
        self.seen["averages"][str(record.epoch)] = digest(halves)
        if written != self.written:
            self.seen["checkpoints"].append(record.epoch)
            self.written = written
        if record.epoch == self.config.train["epochs"]:
            self.state = comparable(torch.load(file, weights_only=True))
        if record.epoch in self.copy:
            shutil.copytree(self.folder, self.copy[record.epoch])

    def _start(self, trainer: Any) -> None:
        core = core_of(trainer.model)
        self.seen["backbone"] = len(core.yaml["backbone"])
        self.seen["world_size"] = trainer.world_size
        self.seen["layers"] = layers(core)
        names = {id(parameter): name for name, parameter in core.named_parameters()}
        trainer.optimizer.register_step_pre_hook(
            lambda optimizer, *_: self.seen["steps"].append(step(optimizer, names))
        )

    def _begin_epoch(self, trainer: Any) -> None:
        os.environ[EPOCH] = str(trainer.epoch + 1)

    def _end_epoch(self, trainer: Any) -> None:
        core = core_of(trainer.model)
        groups = [id(parameter) for group in trainer.optimizer.param_groups for parameter in group["params"]]
        self.seen["epochs"].append(
            {
                "epoch": trainer.epoch + 1,
                "grouped": {name: groups.count(id(parameter)) for name, parameter in core.named_parameters()},
                "fixed": sorted(name for name, parameter in core.named_parameters() if not parameter.requires_grad),
                "layers": layers(core),
                "losses": {name: float(loss) for name, loss in trainer.tloss.items()},
                "class_weights": class_weights(core.criterion),
                "synchronised": any(isinstance(module, torch.nn.SyncBatchNorm) for module in core.modules()),
            }
        )


def layer_of(name: str) -> int:
    """The layer that a parameter or buffer such as `model.3.conv.weight` belongs to."""
    return int(name.split(".")[1])


def layers(core: torch.nn.Module) -> dict[str, list[str]]:
    """Of every layer with parameters a digest of these and one of its buffers."""
    found: dict[str, list[list[torch.Tensor]]] = {}
    for name, parameter in core.named_parameters():
        found.setdefault(str(layer_of(name)), [[], []])[0].append(parameter)
    for name, buffer in core.named_buffers():
        found.get(str(layer_of(name)), [[], []])[1].append(buffer)
    return {layer: [digest(tensors) for tensors in kinds] for layer, kinds in found.items()}


def step(optimizer: torch.optim.Optimizer, names: Mapping[int, str]) -> dict[str, Any]:
    """Rates and gradients of an optimizer step that is about to be taken.

    Of the classifying layers of a head, which MuSGD trains at a rate of their own, the lowest is kept.
    """
    rates: dict[tuple[int, str], float] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            place = layer_of(names[id(parameter)]), str(group["param_group"])
            rates[place] = min(rates.get(place, math.inf), float(group["lr"]))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [p.grad.flatten() for p in parameters if p.grad is not None]
    return {
        "rates": [[layer, kind, rate] for (layer, kind), rate in rates.items()],
        "norm": float(torch.cat(gradients).norm()),
        "largest": float(torch.cat(gradients).abs().max()),
        "stale": [names[id(p)] for p in parameters if p.grad is not None and not p.requires_grad],
    }


def class_weights(criterion: Any) -> list[Any]:
    """For every classification loss of a criterion its weights, and whether they are for positives only; None: no."""
    if hasattr(criterion, "vfl"):
        losses: Iterable[Any] = (criterion.vfl, criterion.fl)
        return [[_numbers(getattr(x, "weights", None)), getattr(x, "positives_only", False)] for x in losses]
    heads = [getattr(criterion, name) for name in ("one2many", "one2one") if hasattr(criterion, name)] or [criterion]
    positive = [_numbers(head.bce.pos_weight) for head in heads]
    columns = [_numbers(head.class_weights) for head in heads]
    return [[p, True] if p else [c, False] for p, c in zip(positive, columns, strict=True)]


def _numbers(weights: torch.Tensor | None) -> list[float] | None:
    return None if weights is None else weights.flatten().tolist()

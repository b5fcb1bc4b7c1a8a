"""A space with every kind of parameter, a fitness that needs no training, and a driver without Ray."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raytrainer.config.space import Categorical, Failures, Float, Integer, Search, Space
from raytrainer.search.study import Study, TrialHandle
from raytrainer.search.views import TrialView

EPOCHS = 6

PLAIN = {
    "lr0": Float(low=1e-5, high=1e-1, log=True, default=0.01),
    "box": Float(low=1.0, high=9.0, step=0.5, default=7.5),
    "batch": Integer(low=2, high=64, log=True, default=8),
    "warmup_epochs": Integer(low=0, high=1, default=0),
}
MIXED = {
    **PLAIN,
    "optimizer": Categorical(choices=["SGD", "AdamW", "MuSGD"], default="AdamW"),
    "cos_lr": Categorical(choices=[False, True]),
    "freeze": Categorical(choices=[None, 10, "backbone"]),
}
CONDITIONAL = {
    **MIXED,
    "momentum": Float(low=0.6, high=0.98, default=0.9, when={"optimizer": ["SGD", "MuSGD"]}),
    "unfreeze_epoch": Integer(low=1, high=3, default=1, when={"freeze": "backbone"}),
}


def space(parameters: Mapping[str, Any] = CONDITIONAL, **search: Any) -> Space:
    """A space of short trials that tells failures at once; `search` overrides ten trials and early stopping."""
    asked = {"trials": 10, "min_epochs": 2, "reduction_factor": 2, **search}
    return Space(
        model="yolo.yaml",
        data="data.yaml",
        train={"epochs": EPOCHS},
        space=dict(parameters),
        search=Search(**asked),
        failures=Failures(same_error=None),
    )


def fitness(params: Mapping[str, Any], epoch: int) -> float:
    """A learning curve between 0 and 1, the same for the same parameters for ever; it dips at the fourth epoch."""
    quality = 1 - abs(math.log10(params.get("lr0", 0.01)) + 3) / 4
    quality += {"SGD": 0.2, "AdamW": 0.1}.get(params.get("optimizer", ""), 0.0)
    quality -= params.get("momentum", 0.9) / 20 + params.get("batch", 8) / 1000 + params.get("box", 7.5) / 100
    return quality * epoch / EPOCHS - (0.3 if epoch == 4 else 0.0)


def train(study: Study, trial: TrialHandle) -> None:
    """Run a trial from its last epoch on, as the scheduler would with Ray's results."""
    for epoch in range(study.snapshot()[trial.number].last_epoch + 1, EPOCHS + 1):
        study.report(trial.number, epoch, fitness(trial.params, epoch))
        if study.should_stop(trial.number):
            study.give_up(trial.number)
            return
    study.finish(trial.number, "complete")


Training = Callable[[Study, TrialHandle], None]


def drive(study: Study, train: Training = train) -> None:
    """Run the study to its end, one trial at a time."""
    for trial in study.adopt():
        train(study, trial)
    while (trial := study.ask()) or study.behind:
        if trial:
            train(study, trial)
        else:
            time.sleep(0.01)  # until the storage has caught up


class Crew:
    """Workers side by side, each an epoch a turn, as Ray would drive them."""

    def __init__(self, study: Study, workers: int, on_epoch: Callable[[int], None] = lambda _: None) -> None:
        self.study, self.workers, self.on_epoch = study, workers, on_epoch
        self.at_work = {handle.number: handle for handle in study.adopt()}

    def turn(self) -> bool:
        """One epoch each; whether anybody worked."""
        while len(self.at_work) < self.workers and (handle := self.study.ask()):
            self.at_work[handle.number] = handle
        there = list(self.at_work.items())
        for number, handle in there:
            epoch = self.study.snapshot()[number].last_epoch + 1
            self.on_epoch(number)
            self.study.report(number, epoch, fitness(handle.params, epoch))
            if self.study.should_stop(number):
                self.study.give_up(number)
            elif epoch == EPOCHS:
                self.study.finish(number, "complete")
            if self.study.snapshot()[number].state != "running":
                del self.at_work[number]
        return bool(there)

    def work(self) -> list[TrialView]:
        while self.turn():
            pass
        return self.study.snapshot()


def run(folder: Path, asked: Space, train: Training = train) -> list[TrialView]:
    """Open, run to the end and close a study."""
    with Study.open(folder, asked) as study:
        drive(study, train)
        return study.snapshot()


def essence(views: list[TrialView]) -> list[tuple[Any, ...]]:
    """All of a study but its clock."""
    return [(v.number, v.state, dict(v.params), dict(v.values), v.best_fitness, v.best_epoch, v.reason) for v in views]

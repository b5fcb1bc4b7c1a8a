"""A search as the product runs it, through real Ray, with trials that sleep instead of training."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from lcbench import EPOCHS, Task
from ray import tune
from ray.tune.result import RESULT_DUPLICATE
from virtual_time import Outcome

from measuring import BENCHMARKS
from raytrainer.cluster import run as cluster_run
from raytrainer.cluster.plan import Plan
from raytrainer.cluster.session import session
from raytrainer.config.layout import StudyFolder
from raytrainer.config.parameters import Parameter
from raytrainer.config.space import Search, Space
from raytrainer.search.study import Study

REAL = "auto, through Ray"
SLEEP = 0.005
"""Seconds of an epoch."""


class Asleep(tune.Trainable):  # type: ignore[misc]
    """Reports a curve of the surrogate, epoch by epoch, from the first one on whenever it is taken up."""

    task: str

    def setup(self, config: dict[str, Any]) -> None:
        """Take up the first trial."""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next trial."""
        self._curve, self._epoch = Task(self.task).curve(new_config["params"]), 0
        return True

    def step(self) -> dict[str, Any]:
        """One epoch."""
        if self._epoch == EPOCHS:
            return {RESULT_DUPLICATE: True}
        time.sleep(SLEEP)
        self._epoch += 1
        return {"epoch": self._epoch, "fitness": float(self._curve[self._epoch - 1]), "done": False}


class _Counting(Study):
    """A study that keeps the best configuration of every budget, in epochs, and stops the run after the last."""

    budgets: Sequence[int]
    stop: threading.Event
    found: list[dict[str, Any]]
    """The parameters of the best value by then, for every budget that is spent."""
    leader: tuple[float, int] = (float("-inf"), 0)

    def report(
        self, number: int, epoch: int, fitness: float, violations: Sequence[float] = (), others: Sequence[float] = ()
    ) -> None:
        before = self.epochs
        super().report(number, epoch, fitness, violations, others)
        if self.epochs == before or len(self.found) == len(self.budgets):
            return
        self.leader = max(self.leader, (fitness, number))
        if self.epochs >= self.budgets[len(self.found)]:
            self.found.append(dict(self.snapshot()[self.leader[1]].params))
        if len(self.found) == len(self.budgets):
            self.closing = True
            self.stop.set()


def through_ray(
    task: str, budgets: Sequence[int], workers: int, seed: int, space: Mapping[str, Parameter], **search: Any
) -> Outcome:
    """The outcome of one study, default configuration first, on a cluster of this machine; see `simulate`."""
    above = max(budgets)  # trials are no budget here
    asked = Space(
        model="surrogate", data="surrogate", train={"epochs": EPOCHS}, space=dict(space),
        search=Search(seed=seed, trials=above, **search),
    )  # fmt: skip
    paths = [str(BENCHMARKS), str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]
    with (
        tempfile.TemporaryDirectory(prefix="search-") as folder,
        mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join(paths)}),
        mock.patch.object(cluster_run, "trial_class", return_value=type("Asleep", (Asleep,), {"task": task})),
        session(None, Path(folder) / "ray.log", cpus=workers) as starting,
        _Counting.open(Path(folder) / "study", asked) as study,
    ):
        starting.result()
        assert isinstance(study, _Counting)
        study.budgets, study.stop, study.found = budgets, threading.Event(), []
        plan = Plan(cpus=1, gpus=0, ranks=1, concurrent=workers)
        layout = StudyFolder(Path(folder) / "study")
        cluster_run.run(study, asked, layout, plan, stop=study.stop, on_trial_end=lambda _: None)
        final = Task(task).final(study.found)
        return Outcome([float(value) for value in final], len(study.snapshot()))

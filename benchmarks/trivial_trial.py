"""A trial that reports and does nothing else, for measuring what is around it."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from ray import tune

REPORTS = 10
RANGES = {"lr0": (1e-4, 1e-2), "weight_decay": (1e-6, 1e-2), "cls": (0.1, 4.0), "box": (1.0, 20.0)}
"""Lowest and highest value of what is searched, all on logarithmic scales."""
SEATS = "TRIVIAL_TRIAL_SEATS"
"""Environment variable: a folder in which every process of a trial leaves a file."""
PATIENCE = 60.0


def fitness(params: dict[str, float], epoch: int) -> float:
    """A made-up curve, 0 to 1, that rises with the epoch and depends on every parameter."""
    places = [math.log(params[name] / low) / math.log(high / low) for name, (low, high) in RANGES.items()]
    return math.exp(-sum((place - 0.6) ** 2 for place in places)) * (1 - math.exp(-epoch / 3))


class TrivialTrial(tune.Trainable):  # type: ignore[misc]
    """Reports its made-up fitness at once, `REPORTS` times.

    Its configuration is the parameters, or `{"number": int, "params": dict}` as this tuner gives it. A process begins
    once there is one for every CPU: Ray ends a process that is still starting when its trial can have another's, and
    trials this short would never let a second one start.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take up the first trial when all processes are there."""
        seats = Path(os.environ[SEATS])
        (seats / uuid4().hex).touch()
        end = time.monotonic() + PATIENCE
        while len(list(seats.iterdir())) < (os.cpu_count() or 1) and time.monotonic() < end:
            time.sleep(0.01)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next trial."""
        self._params: dict[str, float] = new_config.get("params", new_config)
        self._epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """One report."""
        self._epoch += 1
        return {
            "epoch": self._epoch,
            "fitness": fitness(self._params, self._epoch),
            "done": self._epoch == REPORTS,
        }

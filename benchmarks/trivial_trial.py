"""A trial that reports and does nothing else, for measuring what is around it."""

from __future__ import annotations

import math
from typing import Any

from ray import tune

REPORTS = 10
RANGES = {"lr0": (1e-4, 1e-2), "weight_decay": (1e-6, 1e-2), "cls": (0.1, 4.0), "box": (1.0, 20.0)}
"""Lowest and highest value of what is searched, all on logarithmic scales."""


def fitness(params: dict[str, float], epoch: int) -> float:
    """A made-up curve, 0 to 1, that rises with the epoch and depends on every parameter."""
    places = [math.log(params[name] / low) / math.log(high / low) for name, (low, high) in RANGES.items()]
    return math.exp(-sum((place - 0.6) ** 2 for place in places)) * (1 - math.exp(-epoch / 3))


class TrivialTrial(tune.Trainable):  # type: ignore[misc]
    """Reports its made-up fitness at once, `REPORTS` times.

    Its configuration is the parameters, or `{"number": int, "params": dict}` as this tuner gives it.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take up the first trial."""
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

"""Syne Tune's MOBSTER as one of the searches that are compared; needs `syne-tune[gpsearchers]` 0.13."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lcbench import EPOCHS

from raytrainer.config.parameters import Categorical, Integer, Parameter

METRIC = "fitness"


class Mobster:
    """MOBSTER with its own defaults: stopping, a grace period of one epoch, a reduction factor of three.

    Without the defaults first it starts at random, and not in the middle of the space as it would by itself.
    """

    def __init__(self, seed: int, space: Mapping[str, Parameter], *, default_first: bool) -> None:
        baselines = importlib.import_module("syne_tune.optimizer.baselines")
        self._trial = importlib.import_module("syne_tune.backend.trial_status").Trial
        self.milliseconds: list[float] = []
        self._scheduler = baselines.MOBSTER(
            {name: _domain(parameter) for name, parameter in space.items()},
            metric=METRIC,
            resource_attr="epoch",
            max_t=EPOCHS,
            mode="max",
            random_seed=seed,
            points_to_evaluate=[{name: p.default for name, p in space.items()}] if default_first else [],
            search_options={"debug_log": False},
        )
        self._trials: list[Any] = []

    def ask(self) -> tuple[int, Mapping[str, Any]]:
        """See `virtual_time.Search`."""
        number = len(self._trials)
        begun = time.process_time()
        config = self._scheduler.suggest(number).config
        self.milliseconds.append(1000 * (time.process_time() - begun))
        self._trials.append(self._trial(number, config, datetime.now()))
        self._scheduler.on_trial_add(self._trials[number])
        return number, config

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `virtual_time.Search`."""
        trial, result = self._trials[number], {METRIC: value, "epoch": epoch}
        goes_on: bool = self._scheduler.on_trial_result(trial, result) == "CONTINUE"
        if epoch == EPOCHS:
            self._scheduler.on_trial_complete(trial, result)
            return False
        if not goes_on:
            self._scheduler.on_trial_remove(trial)
        return goes_on

    def fail(self, number: int) -> None:
        """See `virtual_time.Search`."""
        self._scheduler.on_trial_error(self._trials[number])


def _domain(parameter: Parameter) -> Any:
    space = importlib.import_module("syne_tune.config_space")
    if isinstance(parameter, Categorical):
        return space.choice(parameter.choices)
    kind = ("log" if parameter.log else "") + ("randint" if isinstance(parameter, Integer) else "uniform")
    return getattr(space, kind)(parameter.low, parameter.high)

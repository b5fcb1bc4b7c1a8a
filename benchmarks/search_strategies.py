"""The searches that are compared: this product's classes, and Ray's as Ultralytics sets them up."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import optuna
from lcbench import EPOCHS
from optuna.trial import TrialState

from raytrainer.config.assemble import defaults
from raytrainer.config.parameters import Categorical, Integer, Parameter
from raytrainer.config.space import Search as SearchOptions
from raytrainer.config.space import Space
from raytrainer.search.disk import MemoryDisk
from raytrainer.search.ledger import Ledger
from raytrainer.search.samplers import suggester_of
from raytrainer.search.stopping import decider_of
from raytrainer.search.suggestion import distribution, draw
from raytrainer.search.views import ALONE, PAUSED, PROMOTED, TrialView, view_of
from raytrainer.search.writer import Directly

METRIC = "fitness"
UNSEEN = TrialView(0, "pruned", {})


class Product:
    """This package's ledger, sampler and stopping rule, as `Study` puts them together, without its file.

    Without the defaults first, an unseen trial stands in for the baseline, so that no random trial has its privilege.
    """

    def __init__(self, seed: int, space: Mapping[str, Parameter], *, default_first: bool, **search: Any) -> None:
        self.milliseconds: list[float] = []
        self._space = Space(
            model="surrogate",
            data="surrogate",
            train={"epochs": EPOCHS},
            space=dict(space),
            search=SearchOptions(seed=seed, **search),
        )
        self._ledger = Ledger(MemoryDisk(), "surrogate", Directly())
        self._decider = decider_of(self._space)
        self._suggester = suggester_of(self._space)
        self._default_first = default_first
        self._ahead = 0 if default_first else 1
        self._views = [UNSEEN] * self._ahead

    def ask(self) -> tuple[int, Mapping[str, Any]]:
        """See `virtual_time.Search`."""
        trials, paused = self._ledger.trials(), self._decider.promote(self._views)
        if paused is not None:
            return self._promoted(paused - self._ahead)
        if not trials and self._default_first:
            params = defaults(self._space)
            distributions = {name: distribution(self._space.space[name]) for name in params}
            number = self._ledger.add(params, distributions)
        else:
            begun = time.process_time()
            sampler, shown = self._suggester.sampler(len(trials)), self._suggester.shown(trials)
            number = self._ledger.suggest(sampler, shown, lambda trial: draw(trial, self._space.space))
            self.milliseconds.append(1000 * (time.process_time() - begun))
        self._views.append(UNSEEN)
        self._refresh(number)
        return number, self._ledger.trial(number).params

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `virtual_time.Search`."""
        self._ledger.report(number, epoch, value)
        view = self._refresh(number)
        if self._decider.alone(view.number, epoch, self._views):
            self._ledger.note(number, ALONE, epoch)
            view = self._refresh(number)
        if epoch == EPOCHS:
            self._ledger.finish(number, TrialState.COMPLETE, view.objectives)
        elif self._decider.decide(view.number, epoch, self._views):
            if self._decider.pauses:
                self._ledger.note(number, PAUSED, epoch)
            else:
                self._ledger.finish(number, TrialState.PRUNED, view.objectives)
        return self._refresh(number).state == "running"

    def fail(self, number: int) -> None:
        """See `virtual_time.Search`."""
        self._ledger.finish(number, TrialState.FAIL, (), "a crash")
        self._refresh(number)

    def _promoted(self, number: int) -> tuple[int, Mapping[str, Any]]:
        self._ledger.note(number, PROMOTED, self._ledger.trial(number).last_step)
        self._refresh(number)
        return number, self._ledger.trial(number).params

    def _refresh(self, number: int) -> TrialView:
        place = number + self._ahead
        self._views[place] = dataclasses.replace(view_of(self._ledger.trial(number)), number=place)
        return self._views[place]


class Peer:
    """`OptunaSearch` and `ASHAScheduler` with the arguments of `ultralytics.utils.tuner.run_ray_tune`.

    Results reach them as Ray's controller hands them on: first the scheduler, then the search, which is told a stopped
    trial as complete with its last value. They know no conditions: every parameter is always there.
    """

    def __init__(self, seed: int, space: Mapping[str, Parameter], *, default_first: bool) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        self.milliseconds: list[float] = []
        sampler = optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed)
        first = [{name: parameter.default for name, parameter in space.items()}] if default_first else None
        self._search = OptunaSearch(sampler=sampler, metric=METRIC, mode="max", points_to_evaluate=first)
        self._search.set_search_properties(METRIC, "max", {name: _domain(p) for name, p in space.items()})
        self._scheduler = ASHAScheduler(
            time_attr="epoch", metric=METRIC, mode="max", max_t=EPOCHS, grace_period=10, reduction_factor=3
        )
        self._asked = 0

    def ask(self) -> tuple[int, Mapping[str, Any]]:
        """See `virtual_time.Search`."""
        number, self._asked = self._asked, self._asked + 1
        begun = time.process_time()
        params = self._search.suggest(str(number))
        self.milliseconds.append(1000 * (time.process_time() - begun))
        self._scheduler.on_trial_add(None, SimpleNamespace(trial_id=str(number)))
        return number, params

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `virtual_time.Search`."""
        result = {METRIC: value, "epoch": epoch, "training_iteration": epoch}
        trial = SimpleNamespace(trial_id=str(number))
        if self._scheduler.on_trial_result(None, trial, result) == "STOP":
            self._scheduler.on_trial_complete(None, trial, result)
            self._search.on_trial_complete(str(number), result)
            return False
        self._search.on_trial_result(str(number), result)
        return True

    def fail(self, number: int) -> None:
        """See `virtual_time.Search`."""
        self._scheduler.on_trial_remove(None, SimpleNamespace(trial_id=str(number)))
        self._search.on_trial_complete(str(number), None, error=True)


def _domain(parameter: Parameter) -> Any:
    from ray import tune

    if isinstance(parameter, Categorical):
        return tune.choice(parameter.choices)
    if isinstance(parameter, Integer):
        return (tune.lograndint if parameter.log else tune.randint)(parameter.low, parameter.high + 1)
    return (tune.loguniform if parameter.log else tune.uniform)(parameter.low, parameter.high)

"""Long studies of every kind, as the product holds them: what it asks its sampler for at a thousand trials."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from raytrainer.config.parameters import Float
from raytrainer.search.epoch_notes import attrs_of
from raytrainer.search.mirror import Mirror
from raytrainer.search.samplers import Suggester
from raytrainer.search.suggestion import distribution, draw
from raytrainer.search.views import PAUSED

SPACE = {f"p{i}": Float(low=0.0, high=1.0) for i in range(8)}
DISTRIBUTIONS: dict[str, BaseDistribution] = {name: distribution(parameter) for name, parameter in SPACE.items()}
STOPPED = 8 / 9
"""Share of the trials that end after an eighth of a run, of every kind but the last."""


@dataclass(frozen=True)
class Kind:
    """What there is in a study."""

    constraints: int = 0
    objectives: int = 1
    paused: bool = False
    """Those that are stopped wait to go on."""
    epochs: int = 52
    stopped: float = STOPPED


KINDS = {
    "plain": Kind(),
    "paused": Kind(paused=True),
    "two constraints": Kind(constraints=2),
    "two constraints, paused": Kind(constraints=2, paused=True),
    "two objectives": Kind(objectives=2),
    "two objectives, two constraints": Kind(constraints=2, objectives=2),
    "300 epochs, none stopped": Kind(epochs=300, stopped=0.0),
}


def spent(kind: Kind, size: int, asks: int, seed: int) -> list[float]:
    """CPU milliseconds of so many suggestions, one after the other, in a study of that size, as the product asks."""
    rng, now = np.random.default_rng(seed), datetime.now()
    trials = [_trial(kind, number, rng, now) for number in range(size)]
    mirror = Mirror()
    study_id = mirror.create_new_study([optuna.study.StudyDirection.MAXIMIZE] * kind.objectives, "grown")
    for trial in trials:
        mirror.create_new_trial(study_id, trial)
    study, found = optuna.load_study(study_name="grown", storage=mirror), []
    asked = Suggester("auto", seed=seed, epochs=kind.epochs, objectives=kind.objectives)
    for ask in range(asks):
        begun = time.process_time()
        with mirror.showing(asked.shown(trials)):
            study.sampler = asked.sampler(size + ask)
            draw(study.ask(), SPACE)
        found.append(1000 * (time.process_time() - begun))
    return found


def _trial(kind: Kind, number: int, rng: np.random.Generator, now: datetime) -> FrozenTrial:
    point = rng.random(len(SPACE))
    last = max(1, kind.epochs // 8) if rng.random() < kind.stopped else kind.epochs
    waits = kind.paused and last < kind.epochs
    curve = {epoch: _value(point, epoch) for epoch in range(1, last + 1)}
    violations: list[float] = (point[: kind.constraints] - 0.6).tolist()
    others = {epoch: [float(point[0] * epoch)] * (kind.objectives - 1) for epoch in curve if kind.objectives > 1}
    values = [max(curve.values()), *others.get(last, [])]
    by_epoch = dict.fromkeys(curve if violations else [], violations)
    notes = attrs_of(by_epoch, others, () if waits else violations)
    ended = TrialState.COMPLETE if last == kind.epochs else TrialState.PRUNED
    return FrozenTrial(
        number=number, trial_id=number, state=TrialState.RUNNING if waits else ended, value=None,
        values=None if waits else values, datetime_start=now, datetime_complete=None if waits else now,
        params=dict(zip(SPACE, point.tolist(), strict=True)), distributions=DISTRIBUTIONS,
        user_attrs={PAUSED: last} if waits else {}, system_attrs=notes, intermediate_values=curve,
    )  # fmt: skip


def _value(point: NDArray[np.float64], epoch: int) -> float:
    return float(-np.square(point - 0.3).sum() - np.exp(-epoch / 5))

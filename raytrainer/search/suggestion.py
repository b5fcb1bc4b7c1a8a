"""One configuration of a space, drawn from an Optuna trial parameter by parameter, conditions respected."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from raytrainer.config.conditions import in_order, is_active
from raytrainer.config.parameters import Categorical, Float, Integer, Parameter, Scalar

Distribution = FloatDistribution | IntDistribution | CategoricalDistribution


def distribution(parameter: Parameter) -> Distribution:
    """The Optuna distribution of one parameter."""
    match parameter:
        case Categorical():
            return CategoricalDistribution(parameter.choices)
        case Integer():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step or 1)
        case Float():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def draw(trial: Trial, space: Mapping[str, Parameter]) -> dict[str, Scalar]:
    """Values for every active parameter: by name, so that moving lines in the file changes nothing, parents first."""
    drawn: dict[str, Scalar] = {}
    for name in in_order(dict(sorted(space.items()))):
        if is_active(space[name], drawn):
            drawn[name] = _suggest(trial, name, distribution(space[name]))
    return drawn


def _suggest(trial: Trial, name: str, among: Distribution) -> Scalar:
    match among:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, among.choices)
        case IntDistribution():
            return trial.suggest_int(name, among.low, among.high, step=among.step, log=among.log)
        case FloatDistribution():
            return trial.suggest_float(name, among.low, among.high, step=among.step, log=among.log)

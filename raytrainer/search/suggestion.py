"""One configuration of a space, drawn from an Optuna trial parameter by parameter, conditions respected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from raytrainer.config.assemble import assemble
from raytrainer.config.conditions import in_order, is_active
from raytrainer.config.parameters import Categorical, Float, Integer, Parameter, Scalar
from raytrainer.config.space import Space
from raytrainer.search.views import TrialView

Distribution = FloatDistribution | IntDistribution | CategoricalDistribution

SEEN = "seen"
"""Note of a suggested trial: the trials that had not ended when it was drawn, by state, with their last epochs. All
others of a smaller number had ended, so this is all that it takes to draw it again."""

ROUNDING = 1e-9
"""Share of a value by which two are still the same."""
TINY = 1e-15
"""What is left where a step leads to zero."""


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


def draw_noted(trial: Trial, space: Space, views: Sequence[TrialView]) -> dict[str, Scalar]:
    """`draw`, with what the study holds by then noted for a replay.

    A configuration that was drawn before, but for rounding, is trained with another seed, the next one for each
    repetition, as the trial's own training argument (see `assemble`).
    """
    drawn = draw(trial, space.space)
    for state in ("running", "paused"):
        seen = {str(view.number): view.last_epoch for view in views if view.state == state}
        trial.set_user_attr(SEEN, {**trial.user_attrs.get(SEEN, {}), state: seen})
    if repeats := sum(_same(view.params, drawn) for view in views):
        trial.set_user_attr("amended", {"seed": assemble(space, drawn).train["seed"] + repeats})
    return drawn


def _same(left: Mapping[str, Scalar], right: Mapping[str, Scalar]) -> bool:
    """Whether two configurations differ by no more than rounding does: 0.3 is three steps of 0.1."""
    return left.keys() == right.keys() and all(_alike(left[name], right[name]) for name in left)


def _alike(left: Scalar, right: Scalar) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=ROUNDING, abs_tol=TINY)
    return left == right


def _suggest(trial: Trial, name: str, among: Distribution) -> Scalar:
    match among:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, among.choices)
        case IntDistribution():
            return trial.suggest_int(name, among.low, among.high, step=among.step, log=among.log)
        case FloatDistribution():
            return trial.suggest_float(name, among.low, among.high, step=among.step, log=among.log)

"""A space that has grown since its study was begun: earlier trials stay valid, samplers see them as its own."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from raytrainer.config import ultralytics_arguments
from raytrainer.config.conditions import in_order, is_active
from raytrainer.config.document import CLASS_WEIGHTS, by_class
from raytrainer.config.parameters import Scalar
from raytrainer.config.problems import KeyPath
from raytrainer.config.settings import Settings
from raytrainer.config.space import Space

TAKEN = "taken"
"""Key of the stored space: by a trial's number, parameters that it is taken to have had before they were searched."""

Plain = Mapping[str, Any]


def only_widens(path: KeyPath, then: Plain, now: Plain) -> bool:
    """Whether a change of the value at `path` leaves every earlier trial one of the new space.

    So does a wider range, another choice, and a new parameter whose default is what the trials have had anyway: what
    was fixed before, or else what holds where nothing is said. A population's space stays as it is.

    Args:
        path: keys to a value that differs.
        then: the space as it was stored.
        now: the space as it is asked for, as plain data.
    """
    if now["search"]["schedule"]:  # a trial has values for each of its stages
        return False
    section, name = str(path[0]), str(path[1]) if len(path) > 1 else ""
    before, after = then["space"], now["space"]
    if section == "space" and name in after:
        if name not in before:
            return _same(_had(name, then), after[name]["default"])
        return _contains(after[name], before[name])
    fixed = f"{name}.{path[2]}" if len(path) > 2 else name
    return section in ("train", "trainer") and fixed in after and fixed not in before


def taken_by(trials: Sequence[FrozenTrial], then: Plain, space: Space) -> dict[str, dict[str, Scalar]]:
    """What each trial is taken to have had, by its number: earlier extensions' values and those of new parameters."""
    new = [name for name in in_order(space.space) if name not in then["space"]]
    taken: dict[str, dict[str, Scalar]] = {}
    for trial in trials:
        values = dict(trial.params)
        for name in new:
            if is_active(space.space[name], values):
                values[name] = space.space[name].default
        added = {**then.get(TAKEN, {}).get(str(trial.number), {}), **{k: values[k] for k in new if k in values}}
        if added:
            taken[str(trial.number)] = added
    return taken


def taken_of(attrs: Plain) -> dict[str, dict[str, Scalar]]:
    """The same, as it stands in the attributes of a study."""
    stored: dict[str, dict[str, Scalar]] = attrs.get("space", {}).get(TAKEN, {})
    return stored


def as_drawn_from(
    distributions: Mapping[str, BaseDistribution], trial: FrozenTrial, taken: Mapping[str, Scalar]
) -> FrozenTrial:
    """The trial with `taken` among its parameters, and with these distributions where it had narrower ones.

    Optuna's samplers would leave out a parameter that not all trials have, or have with other choices.
    """
    params = {**trial.params, **taken}
    drawn = {**trial.distributions, **{name: distributions[name] for name in params if name in distributions}}
    if params == trial.params and drawn == trial.distributions:
        return trial
    seen = copy.copy(trial)
    seen.params, seen.distributions = params, drawn
    return seen


def _had(name: str, then: Plain) -> Any:
    """What trials had for a setting that was not searched."""
    for section in ("train", "trainer"):
        if name in then[section]:
            return then[section][name]
    if split := by_class(name):
        setting, label = split
        given, neutral = then["trainer"].get(setting), 1.0 if setting == CLASS_WEIGHTS else 0.0
        return None if isinstance(given, str) else (given or {}).get(label, neutral)
    if name in Settings.model_fields:
        return Settings.model_fields[name].default
    return ultralytics_arguments.defaults().get(name)


def _contains(wide: Plain, narrow: Plain) -> bool:
    """Whether every value of one parameter is one of the other, with the same default under the same condition."""
    kept = ("log", "step", "default", "when")
    if any(not _same(wide.get(key), narrow.get(key)) for key in kept) or ("choices" in wide) != ("choices" in narrow):
        return False
    if "choices" in wide:
        return all(any(_same(value, choice) for choice in wide["choices"]) for value in narrow["choices"])
    steps = (narrow["low"] - wide["low"]) / (wide.get("step") or 1)
    on_grid = wide.get("step") is None or math.isclose(steps, round(steps), abs_tol=1e-9)
    same_kind = type(wide["low"]) is type(narrow["low"])
    return same_kind and wide["low"] <= narrow["low"] and narrow["high"] <= wide["high"] and on_grid


def _same(one: Any, other: Any) -> bool:
    """Equal, and not a number for a truth value."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)

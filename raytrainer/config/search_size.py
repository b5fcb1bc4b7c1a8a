"""The space as a table, and how large the search is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raytrainer.config.conditions import Parameters, conditions, in_order, is_active
from raytrainer.config.parameters import Categorical, Float, Parameter, Scalar, same
from raytrainer.config.space import Space
from raytrainer.config.values import show

MOST_BRANCHES = 10_000
"""Above so many ways for the conditions to hold, the combinations are not counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter, as text."""

    name: str
    kind: str
    """`float`, `integer` or `choice`, the first two with `log`."""
    range: str
    default: str
    condition: str
    """Empty if it is always active."""


@dataclass(frozen=True, slots=True)
class SearchSize:
    """How large a search is."""

    dimensions: int
    """Number of parameters."""
    combinations: int | None
    """Number of different configurations; None if a parameter is continuous, or they are too many to count."""
    continuous: bool

    def __str__(self) -> str:
        """Such as `4 parameters, 96 combinations`."""
        many = "continuous" if self.continuous else "very many combinations"
        if self.combinations is not None:
            many = f"{self.combinations:,} combination{'' if self.combinations == 1 else 's'}"
        return f"{self.dimensions} parameter{'' if self.dimensions == 1 else 's'}, {many}"


def search_table(space: Space) -> list[Row]:
    """A row for every parameter, in the order of the file."""
    return [row(name, parameter) for name, parameter in space.space.items()]


def row(name: str, parameter: Parameter) -> Row:
    """One parameter as a row of the table."""
    return Row(name, _kind(parameter), _range(parameter), _plain(parameter.default), _condition(parameter))


def search_size(space: Space) -> SearchSize:
    """How many parameters there are, and how many different configurations."""
    continuous = any(parameter.count is None for parameter in space.space.values())
    combinations = None if continuous else _combinations(space.space)
    return SearchSize(len(space.space), combinations, continuous)


def _kind(parameter: Parameter) -> str:
    if isinstance(parameter, Categorical):
        return "choice"
    return ("float" if isinstance(parameter, Float) else "integer") + (" log" if parameter.log else "")


def _range(parameter: Parameter) -> str:
    if isinstance(parameter, Categorical):
        return ", ".join(map(_plain, parameter.choices))
    step = f", step {parameter.step:g}" if parameter.step else ""
    return f"{parameter.low:g} to {parameter.high:g}{step}"


def _condition(parameter: Parameter) -> str:
    return " and ".join(
        f"{other} is {' or '.join(map(_plain, allowed))}" for other, allowed in conditions(parameter).items()
    )


def _plain(value: Scalar) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else show(value)


def _combinations(parameters: Parameters) -> int | None:
    """Different configurations; None if some conditions hold in too many ways to count."""
    total = 1
    for names in _connected(parameters):
        part = {name: parameters[name] for name in in_order(parameters) if name in names}
        counted = _Counter(part).count(list(part), {})
        if counted is None:
            return None
        total *= counted
    return total


def _connected(parameters: Parameters) -> list[set[str]]:
    """Sets of names that conditions connect; one set's values say nothing about another's."""
    groups: list[set[str]] = []
    for name, parameter in parameters.items():
        together = {name, *conditions(parameter)}
        apart = [group for group in groups if not group & together]
        groups = [*apart, together.union(*(group for group in groups if group & together))]
    return groups


class _Counter:
    """Counts the configurations of connected parameters, one way for their conditions to hold after another."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._groups = {name: _groups(parameters, name) for name in parameters}
        self._branches = 0

    def count(self, order: list[str], values: Mapping[str, Scalar]) -> int | None:
        """Configurations of the parameters in `order`, given those before; None beyond `MOST_BRANCHES`."""
        if not order:
            self._branches += 1
            return 1 if self._branches <= MOST_BRANCHES else None
        name, rest = order[0], order[1:]
        if not is_active(self._parameters[name], values):
            return self.count(rest, values)
        total = 0
        for value, times in self._groups[name]:
            below = self.count(rest, {**values, name: value})
            if below is None:
                return None
            total += times * below
        return total


def _groups(parameters: Parameters, name: str) -> list[tuple[Scalar, int]]:
    """Values that conditions ask for, one by one, and one group of all others; each with its number of values."""
    asked: list[Scalar] = []
    for parameter in parameters.values():
        for value in conditions(parameter).get(name, []):
            if not any(same(value, other) for other in asked):
                asked.append(value)
    others = (parameters[name].count or 0) - len(asked)
    return [*((value, 1) for value in asked), *([("any other value", others)] if others > 0 else [])]

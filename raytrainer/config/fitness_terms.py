"""The parts of a parsed fitness expression; each gives its value for the metrics of an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from raytrainer.config.problems import suggest


class FitnessError(ValueError):
    """A fitness that cannot be read or computed. `position` counts characters of the text from 0."""

    def __init__(self, text: str, position: int, message: str) -> None:
        super().__init__(f"{message} (at character {position + 1} of '{text}')")
        self.text = text
        self.position = position
        self.message = message

    def __reduce__(self) -> tuple[type[FitnessError], tuple[str, int, str]]:
        """Survives the way between processes, which rebuild an exception from its arguments."""
        return type(self), (self.text, self.position, self.message)


class Node(Protocol):
    """A part of an expression."""

    def value(self, metrics: Mapping[str, float]) -> float:
        """Its value; NaN if it has none."""


@dataclass(frozen=True, slots=True)
class Use:
    """A metric in an expression: of all classes, of the one called `label`, or over each of them."""

    text: str
    """The whole expression."""
    position: int
    metric: str
    label: str | None = None
    over_classes: bool = False

    @property
    def name(self) -> str:
        """The name of the metric in a record."""
        return self.metric if self.label is None else f"{self.metric}[{self.label}]"

    def value(self, metrics: Mapping[str, float]) -> float:
        """The metric's value.

        Raises:
            FitnessError: if it is not among the metrics.
        """
        if self.name not in metrics:
            raise FitnessError(
                self.text, self.position, f"there is no metric '{self.name}'{suggest(self.name, metrics)}"
            )
        return float(metrics[self.name])


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    number: float

    def value(self, metrics: Mapping[str, float]) -> float:  # noqa: ARG002
        """The constant."""
        return self.number


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands of equal precedence, applied from left to right."""

    first: Node
    rest: tuple[tuple[str, Node], ...]

    def value(self, metrics: Mapping[str, float]) -> float:
        """The result; NaN for a quotient by 0."""
        result = self.first.value(metrics)
        for operator, node in self.rest:
            result = _apply(operator, result, node.value(metrics))
        return result


@dataclass(frozen=True, slots=True)
class Negative:
    """The negative of an operand."""

    node: Node

    def value(self, metrics: Mapping[str, float]) -> float:
        """The negative value."""
        return -self.node.value(metrics)


@dataclass(frozen=True, slots=True)
class Call:
    """`min`, `max` or `mean` of several operands."""

    function: str
    arguments: tuple[Node, ...]

    def value(self, metrics: Mapping[str, float]) -> float:
        """The result; NaN if an operand is NaN."""
        return _reduce(self.function, [argument.value(metrics) for argument in self.arguments])


@dataclass(frozen=True, slots=True)
class OverClasses:
    """`min`, `max` or `mean` of a metric over the classes that have labels."""

    function: str
    use: Use

    def value(self, metrics: Mapping[str, float]) -> float:
        """The result; NaN if no class has a label.

        Raises:
            FitnessError: if the metrics have no such metric of any class.
        """
        start = f"{self.use.metric}["
        values = [float(value) for name, value in metrics.items() if name.startswith(start)]
        if not values:
            message = f"there is no metric '{self.use.metric}' of any class"
            raise FitnessError(self.use.text, self.use.position, message)
        return _reduce(self.function, [value for value in values if not math.isnan(value)])


def _apply(operator: str, left: float, right: float) -> float:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    return left / right if right else math.nan


def _reduce(function: str, values: Sequence[float]) -> float:
    if not values or any(map(math.isnan, values)):
        return math.nan
    if function == "mean":
        return sum(values) / len(values)
    return min(values) if function == "min" else max(values)

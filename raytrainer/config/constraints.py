"""What a trial has to keep: `expression < number` over the metrics of an epoch, in the grammar of the fitness."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raytrainer.config.fitness import Fitness, parse_expression
from raytrainer.config.fitness_terms import FitnessError
from raytrainer.config.metric_names import MEASURED

COMPARISON = re.compile(
    r"(?P<left>.*?)(?P<operator><=|>=|<|>)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*",
    re.ASCII | re.DOTALL,
)
JUST = sys.float_info.epsilon
"""Violation of a strict comparison by a value that equals the bound; Optuna takes 0 as kept."""
UNDEFINED = 1000.0
"""Violation where the expression has no value, as a quotient by 0: finite, for samplers that calculate with it."""


class RuledOut(Exception):
    """What is known of an architecture before the first epoch violates a constraint: there is no point in training.

    `violations` has one number a constraint, 0 for those that only training can tell.
    """

    def __init__(self, reason: str, violations: Sequence[float]) -> None:
        super().__init__(reason)
        self.reason, self.violations = reason, list(violations)

    def __reduce__(self) -> tuple[type[RuledOut], tuple[str, list[float]]]:
        """Survives the way between processes, which rebuild an exception from its arguments."""
        return type(self), (self.reason, self.violations)


@dataclass(frozen=True)
class Constraint:
    """One comparison."""

    text: str
    left: Fitness
    operator: str
    """One of < <= > >=."""
    bound: float

    def violation(self, metrics: Mapping[str, float]) -> float:
        """How far it is from being kept, as a share of the bound (of 1, if that is 0); 0 or less where it is kept.

        Shares, so that milliseconds and precisions can be added, as Optuna's samplers do. Never NaN.
        """
        value = self.left(metrics)
        if not math.isfinite(value):
            return UNDEFINED
        over = (value - self.bound) * (1 if self.operator.startswith("<") else -1) / (abs(self.bound) or 1.0)
        return JUST if over == 0 and len(self.operator) == 1 else over

    @property
    def known_before(self) -> bool:
        """Whether it is about the architecture alone, which is measured before the first epoch."""
        return self.left.metrics <= set(MEASURED) and not self.left.over_classes

    def told(self, metrics: Mapping[str, float]) -> str:
        """Such as `latency_ms is 12.3, and subject_to asks for latency_ms < 8`."""
        return f"{self.left.text} is {self.left(metrics):.4g}, and subject_to asks for {self.text}"


def parse_constraint(text: str) -> Constraint:
    """The constraint that a text describes.

    Raises:
        FitnessError: on a text that is no comparison of an expression with a finite number, or an unknown metric.
    """
    found = COMPARISON.fullmatch(text)
    if found is None:
        raise FitnessError(text, 0, "expected an expression, one of < <= > >=, and a number")
    bound = float(found["bound"])
    if not math.isfinite(bound):
        raise FitnessError(text, found.start("bound"), f"expected a number that is finite, and {found['bound']} is not")
    return Constraint(text.strip(), parse_expression(found["left"].strip()), found["operator"], bound)


def violations(constraints: Sequence[Constraint], metrics: Mapping[str, float]) -> list[float]:
    """One number a constraint, see `Constraint.violation`."""
    return [constraint.violation(metrics) for constraint in constraints]


def total(each: Sequence[float]) -> float:
    """How much is violated in all, 0 if nothing is."""
    return math.fsum(value for value in each if value > 0)

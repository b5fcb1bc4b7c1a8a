"""What is searched: a range of numbers, a range of integers, or a list of choices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raytrainer.config.values import show

Scalar: TypeAlias = bool | int | float | str | None
Finite = Annotated[float, Field(allow_inf_nan=False)]
When: TypeAlias = dict[str, Scalar | list[Scalar]]

ROUNDING = 1e-6
"""Share of a step by which a range may miss a whole number of steps, for decimal fractions such as 0.1."""


def _middle_float(data: Mapping[str, Any]) -> float:
    return middle(data["low"], data["high"], data["log"], data["step"])


def _middle_integer(data: Mapping[str, Any]) -> int:
    return round(middle(data["low"], data["high"], data["log"], data["step"] or 1))


class _Range(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Finite
    high: Finite
    log: bool = False
    step: Finite | None = None
    default: Finite
    when: When | None = None

    @model_validator(mode="after")
    def _sound(self) -> _Range:
        for field, message in range_problems(self.low, self.high, self.log, self.step, self.default):
            raise ValueError(f"{field}: {message}")
        return self

    def to_plain(self) -> dict[str, Any]:
        """The parameter as it stands in a space file; what is off is left out."""
        return {key: value for key, value in self.model_dump().items() if value is not None and value is not False}


class Float(_Range):
    """A number from `low` to `high`, both included; `log` searches its logarithm.

    Without a default: the geometric middle of a logarithmic range, else the arithmetic one, to three digits.

    Raises:
        pydantic.ValidationError: as `range_problems` says.
    """

    default: Finite = Field(default_factory=_middle_float)

    @property
    def count(self) -> int | None:
        """Number of values, None if they are continuous."""
        return round((self.high - self.low) / self.step) + 1 if self.step else None

    def holds(self, value: object) -> bool:
        """Whether the value lies in the range, and on its grid if it has one."""
        return _is_number(value) and not off_grid(value, self.low, self.high, self.step)


class Integer(_Range):
    """An integer from `low` to `high`, both included, in steps of `step`; defaults as for `Float`."""

    low: int
    high: int
    step: int | None = None
    default: int = Field(default_factory=_middle_integer)

    @property
    def count(self) -> int:
        """Number of values."""
        return (self.high - self.low) // (self.step or 1) + 1

    def holds(self, value: object) -> bool:
        """Whether the value is an integer of the range."""
        return _is_number(value) and value == int(value) and not off_grid(value, self.low, self.high, self.step)


class Categorical(BaseModel):
    """One of `choices`; without a default the first of them.

    Raises:
        pydantic.ValidationError: as `choice_problems` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: list[Scalar]
    default: Scalar = Field(default_factory=lambda data: next(iter(data["choices"]), None))
    when: When | None = None

    @model_validator(mode="after")
    def _sound(self) -> Categorical:
        for field, message in choice_problems(self.choices, self.default):
            raise ValueError(f"{field}: {message}")
        return self

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.choices)

    def holds(self, value: object) -> bool:
        """Whether the value is a choice; true is not 1."""
        return any(same(value, choice) for choice in self.choices)

    def to_plain(self) -> dict[str, Any]:
        """The parameter as it stands in a space file."""
        plain = {"choices": list(self.choices), "default": self.default}
        return plain | ({"when": self.when} if self.when else {})


Parameter: TypeAlias = Float | Integer | Categorical


def parameter_of(plain: Mapping[str, Any]) -> Parameter:
    """A parameter that was kept as plain data with all its fields; a range of integers has no other bounds."""
    kind = Categorical if "choices" in plain else Integer if isinstance(plain["low"], int) else Float
    return kind(**plain)


def range_problems(
    low: float, high: float, log: bool, step: float | None, default: float | None
) -> Iterator[tuple[str, str]]:
    """What is wrong with a range: pairs of a field and a message."""
    if low >= high:
        yield "low", f"expected less than high ({high:g}), got {low:g}"
        return
    if log and low <= 0:
        yield "low", f"expected a number above 0 for a logarithmic range, got {low:g}"
    if step is not None:
        yield from _step_problems(low, high, log, step)
    if default is not None and not low <= default <= high:
        yield "default", f"expected a number from {low:g} to {high:g}, got {default:g}"
    elif default is not None and step and off_grid(default, low, high, step):
        yield "default", f"expected a step of {step:g} from {low:g}, got {default:g}"


def choice_problems(choices: list[Scalar], default: Scalar) -> Iterator[tuple[str, str]]:
    """What is wrong with a list of choices: pairs of a field and a message."""
    if len(choices) < 2:
        yield (
            "choices",
            f"expected at least two choices, got {len(choices)}: a fixed value stands under train: or trainer:",
        )
        return
    for index, choice in enumerate(choices):
        if choice in choices[:index]:  # Optuna finds a choice by equality, where true is 1
            yield "choices", f"{show(choice)} is listed twice"
    if not any(same(default, choice) for choice in choices):
        yield "default", f"expected one of {', '.join(map(show, choices))}, got {show(default)}"


def middle(low: float, high: float, log: bool, step: float | None) -> float:
    """Default of a range: its geometric or arithmetic middle, on the grid if there is one, else to three digits."""
    if log and low > 0:
        value = math.exp((math.log(low) + math.log(high)) / 2)
    elif step and step > 0 and high > low:
        value = low + step * (round((high - low) / step) // 2)
    else:
        value = low / 2 + high / 2
    return min(max(value if step else float(f"{value:.3g}"), low), high)


def off_grid(value: float, low: float, high: float, step: float | None) -> bool:
    """Whether a number is out of the range or between its steps."""
    if not low <= value <= high:
        return True
    steps = (value - low) / step if step else 0.0
    return abs(steps - round(steps)) > ROUNDING


def same(one: object, other: object) -> bool:
    """Equality that tells true from 1, as YAML does and Python does not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _step_problems(low: float, high: float, log: bool, step: float) -> Iterator[tuple[str, str]]:
    if log:
        yield "step", "expected no step with log: a logarithmic range has no even steps"
    elif step <= 0:
        yield "step", f"expected a number above 0, got {step:g}"
    elif step > high - low:
        yield "step", f"expected at most high - low ({high - low:g}), got {step:g}"
    elif off_grid(high, low, high, step):
        end = low + math.floor((high - low) / step) * step
        yield "step", f"steps of {step:g} from {low:g} end at {end:g} and do not reach high ({high:g})"

"""Ranges and choices: their defaults, their values, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from raytrainer.config.parameter_form import parse_parameter
from raytrainer.config.parameters import Categorical, Float, Integer, Parameter

NUMBER = {"type": "number"}
INTEGER = {"type": "integer"}
ANY = {"type": ["boolean", "integer", "number", "string", "null"]}


@pytest.mark.parametrize(
    ("parameter", "default"),
    [
        (Float(low=1e-5, high=1e-1, log=True), 1e-3),
        (Float(low=1e-5, high=1e-2, log=True), 3.16e-4),
        (Float(low=0, high=1), 0.5),
        (Float(low=0, high=1, step=0.1), 0.5),
        (Float(low=0, high=0.5, step=0.1), 0.2),
        (Float(low=-1e308, high=1e308), 0.0),
        (Float(low=0, high=1, default=0), 0.0),
        (Integer(low=1, high=9), 5),
        (Integer(low=1, high=10_000, log=True), 100),
        (Integer(low=320, high=640, step=64), 448),
        (Categorical(choices=["SGD", "AdamW"]), "SGD"),
        (Categorical(choices=[None, "inverse_frequency"]), None),
        (Categorical(choices=[1, None], default=None), None),
    ],
    ids=str,
)
def test_a_default_is_always_there(parameter: Parameter, default: Any) -> None:
    assert parameter.default == pytest.approx(default) if isinstance(default, float) else parameter.default == default
    assert type(parameter.default) is type(default)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Float, {"low": 1, "high": 1}, "low: expected less than high"),
        (Float, {"low": 0, "high": 1, "log": True}, "low: expected a number above 0"),
        (Float, {"low": 0, "high": 1, "step": 2}, "step: expected at most high - low"),
        (Float, {"low": 0, "high": 1, "step": -1}, "step: expected a number above 0"),
        (Float, {"low": 0, "high": float("inf")}, "finite number"),
        (Float, {"low": 0, "high": 1, "default": 2}, "default: expected a number from 0 to 1"),
        (Float, {"low": 0, "high": 1, "hihg": 2}, "Extra inputs are not permitted"),
        (Integer, {"low": 0.5, "high": 2}, "valid integer"),
        (Integer, {"low": 1, "high": 8, "step": 3}, "end at 7 and do not reach high (8)"),
        (Categorical, {"choices": []}, "at least two choices"),
        (Categorical, {"choices": [1, True]}, "listed twice"),
        (Categorical, {"choices": [1, 2], "default": 3}, "expected one of 1, 2"),
    ],
    ids=str,
)
def test_a_parameter_made_by_hand_is_sound_too(kind: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        kind(**fields)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("raw", "schema", "parameter"),
    [
        ({"low": 1, "high": 5}, INTEGER, Integer(low=1, high=5)),
        ({"low": 1, "high": 5}, NUMBER, Float(low=1, high=5)),
        ({"low": 1e0, "high": 1e2}, INTEGER, Integer(low=1, high=100)),
        ({"low": 8, "high": 64}, {"anyOf": [{"type": "integer"}, NUMBER]}, Integer(low=8, high=64)),
        ([1, 2.5, None, "x", False], ANY, Categorical(choices=[1, 2.5, None, "x", False])),
        ({"choices": [1, 2], "default": 2}, ANY, Categorical(choices=[1, 2], default=2)),
        ([1, 2], {"type": "integer"}, Categorical(choices=[1, 2])),
        (["adamw", "SGD"], {"enum": ["AdamW", "SGD"]}, Categorical(choices=["AdamW", "SGD"])),
        ({"low": 0, "high": 1, "when": {"a": [1, 2]}}, NUMBER, Float(low=0, high=1, when={"a": [1, 2]})),
        ({"low": 0, "high": 1, "default": None, "when": None}, NUMBER, Float(low=0, high=1)),
    ],
)
def test_the_key_decides_between_integers_and_numbers(raw: Any, schema: Any, parameter: Parameter) -> None:
    read, findings = parse_parameter(raw, schema)
    assert findings == []
    assert read == parameter
    assert type(read) is type(parameter)
    if isinstance(read, Categorical):
        assert [type(choice) for choice in read.choices] == [type(choice) for choice in parameter.choices]  # type: ignore[union-attr]


def test_every_problem_of_a_parameter_is_found() -> None:
    findings = parse_parameter({"low": "a", "hihg": 3, "log": 1, "step": 0, "when": 3}, NUMBER)[1]
    assert [keys for keys, _ in findings] == [("hihg",), ("high",), ("low",), ("log",), ("step",), ("when",)]


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(finite, finite, st.booleans())
def test_defaults_lie_in_the_range(one: float, other: float, log: bool) -> None:
    low, high = min(one, other), max(one, other)
    assume(low < high)
    log = log and low > 0
    parameter = Float(low=low, high=high, log=log)
    assert parameter.holds(parameter.default)
    assert parameter.holds(low)
    assert parameter.holds(high)


@given(st.integers(-1000, 1000), st.integers(1, 60), st.integers(1, 50))
def test_integers_stay_integers_on_their_grid(low: int, steps: int, step: int) -> None:
    parameter = Integer(low=low, high=low + steps * step, step=step)
    assert type(parameter.default) is int
    assert parameter.holds(parameter.default)
    assert parameter.count == steps + 1
    assert parameter.holds(low + step) is True
    assert parameter.holds(low + step + 0.5) is False
    assert (step == 1) or parameter.holds(low + 1) is False


def test_true_is_not_one() -> None:
    assert Categorical(choices=[True, "x"]).holds(1) is False
    assert Integer(low=0, high=3).holds(True) is False
    assert Float(low=0, high=3).holds("1") is False

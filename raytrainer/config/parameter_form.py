"""A parameter as it is written under `space:`: a range, a list of choices, or choices with a default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from raytrainer.config.parameters import (
    Categorical,
    Float,
    Integer,
    Parameter,
    Scalar,
    choice_problems,
    range_problems,
)
from raytrainer.config.problems import KeyPath, suggest
from raytrainer.config.values import Mismatch, Schema, convert, expected, numeric, show

Finding: TypeAlias = tuple[KeyPath, str]
"""Keys below the parameter, and what is wrong there."""

RANGE = ("low", "high", "log", "step", "default", "when")
CHOICES = ("choices", "default", "when")
BOOLEAN: Schema = {"type": "boolean"}
SCALAR: Schema = {"type": ["boolean", "integer", "number", "string", "null"]}
WHEN: Schema = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [*({"type": kind} for kind in SCALAR["type"]), {"type": "array", "items": SCALAR}]
    },
}


def parse_parameter(raw: Any, schema: Schema) -> tuple[Parameter | None, list[Finding]]:
    """The parameter that `raw` describes, whose values must fit `schema`, or what is wrong with it.

    Whether a range is of integers follows from the schema, not from how its bounds are written.
    """
    if isinstance(raw, list):
        raw = {"choices": raw}
    if not isinstance(raw, dict):
        return None, [((), _shape(raw))]
    is_choice = "choices" in raw
    findings = list(_unknown(raw, CHOICES if is_choice else RANGE))
    parameter = None
    reader = _choices if is_choice else _range
    fields: dict[str, Any] = {}
    for keys, outcome in reader(raw, schema):
        if isinstance(outcome, Mismatch):
            findings.append((keys, str(outcome)))
        else:
            fields[str(keys[0])] = outcome
    if not findings:
        findings = list(_unsound(fields, is_choice))
    if not findings:
        parameter = _build(fields, schema)
    return parameter, findings


def _shape(raw: Any) -> str:
    return (
        "expected a range {low: ..., high: ...}, a list of choices, or {choices: [...], default: ...}, "
        f"got {show(raw)}; a fixed value stands under train: or trainer:"
    )


def _unknown(raw: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[Finding]:
    for key in raw:
        if key not in known:
            yield (key,), "unknown key" + suggest(key, known)


Outcome: TypeAlias = tuple[KeyPath, Any]


def _range(raw: Mapping[str, Any], schema: Schema) -> Iterator[Outcome]:
    number = numeric(schema)
    if number is None:
        yield (), Mismatch(f"expected a list of choices, since its values are {expected(schema)}")
        return
    for key in ("low", "high"):
        if raw.get(key) is None:
            yield (key,), Mismatch("is missing" if raw.keys() & set(RANGE) else _shape(raw))
    step = {"type": number["type"]} | ({"minimum": 1} if number["type"] == "integer" else {"exclusiveMinimum": 0})
    schemas = {"low": number, "high": number, "default": number, "log": BOOLEAN, "step": step, "when": WHEN}
    for key, value in raw.items():
        if key in schemas and value is not None:
            yield (key,), _converted(schemas[key], value)


def _choices(raw: Mapping[str, Any], schema: Schema) -> Iterator[Outcome]:
    choices = raw["choices"]
    if not isinstance(choices, list) or not choices:
        yield ("choices",), Mismatch(f"expected a list of at least two choices, got {show(choices)}")
        return
    converted = [_choice(schema, choice) for choice in choices]
    for index, outcome in enumerate(converted):
        if isinstance(outcome, Mismatch):
            yield ("choices", index), outcome
    if not any(isinstance(outcome, Mismatch) for outcome in converted):
        yield ("choices",), converted
    if "default" in raw:
        yield ("default",), _choice(schema, raw["default"])
    if raw.get("when") is not None:
        yield ("when",), _converted(WHEN, raw["when"])


def _choice(schema: Schema, value: Any) -> Scalar | Mismatch:
    if isinstance(value, list | dict):
        return Mismatch(f"expected a single value as a choice, got {show(value)}")
    done: Scalar | Mismatch = _converted(schema, value)
    return done


def _converted(schema: Schema, value: Any) -> Any:
    try:
        return convert(schema, value)
    except Mismatch as mismatch:
        return mismatch


def _unsound(fields: Mapping[str, Any], is_choice: bool) -> Iterator[Finding]:
    if is_choice:
        found = choice_problems(fields["choices"], fields.get("default", fields["choices"][0]))
    else:
        log, step, default = fields.get("log", False), fields.get("step"), fields.get("default")
        found = range_problems(fields["low"], fields["high"], log, step, default)
    for key, message in found:
        yield (key,), message


def _build(fields: dict[str, Any], schema: Schema) -> Parameter:
    if "choices" in fields:
        return Categorical(**fields)
    kind = numeric(schema)
    return Integer(**fields) if kind is not None and kind["type"] == "integer" else Float(**fields)

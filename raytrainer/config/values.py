"""What a key may hold, as JSON Schema: one description for editors, for checking, and for the words of an error.

Only the part of JSON Schema that the space file needs is understood: `type`, `enum`, `const`, `anyOf`, `pattern`,
bounds, `items` and `additionalProperties` as a schema. Nothing is converted but 1e2 to 100 where an integer is asked
for, and the case of a name to the one that is listed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from raytrainer.config.problems import suggest

Schema = Mapping[str, Any]
SHOWN = 60
NUMBERS = {"integer", "number"}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


class Mismatch(ValueError):
    """A value that its schema does not allow; the text says what was expected and what came."""


def convert(schema: Schema, value: Any) -> Any:
    """`value`, or what it stands for.

    Raises:
        Mismatch: if the schema does not allow it.
    """
    for option in schema.get("anyOf", [schema]):
        fits, converted = _fit(option, value)
        if fits:
            return converted
    hint = suggest(value, names) if isinstance(value, str) and (names := listed(schema)) else ""
    hint = hint if "did you mean" in hint else _quotes(schema, value)
    raise Mismatch(f"expected {expected(schema)}, got {show(value)}{hint}")


def _quotes(schema: Schema, value: Any) -> str:
    """What quotes would change: `5` is a number, `'5'` is text."""
    if isinstance(value, int | float) and not isinstance(value, bool) and fits(schema, str(value)):
        return f"; write '{value}' for the text"
    if isinstance(value, str) and NUMBER.fullmatch(value) and fits(schema, float(value)):
        return f"; write {value} without quotes for the number"
    return ""


def fits(schema: Schema, value: Any) -> bool:
    """Whether the schema allows the value."""
    return any(_fit(option, value)[0] for option in schema.get("anyOf", [schema]))


def listed(schema: Schema) -> list[str]:
    """The texts that a schema lists as allowed."""
    options = schema.get("anyOf", [schema])
    texts = [text for option in options for text in (*option.get("enum", ()), *_constant(option))]
    return [text for text in texts if isinstance(text, str)]


def numeric(schema: Schema) -> Schema | None:
    """The first part of the schema that allows numbers, of which a range can be searched; None if there is none."""
    for option in schema.get("anyOf", [schema]):
        if kinds := [kind for kind in _types(option) if kind in NUMBERS]:
            bounds = {key: option[key] for key in ("minimum", "maximum", "exclusiveMinimum") if key in option}
            return {"type": kinds[0], **bounds}
    return None


def is_text(schema: Schema, text: str = "") -> bool:
    """Whether the value of a key is free text, so that `name=5` on a command line means the text `5`.

    Where a list may stand in its place, `text` decides: one that begins with a bracket is a list.
    """
    kinds = [kind for option in schema.get("anyOf", [schema]) for kind in _types(option)]
    if set(kinds) - {"null"} == {"string", "array"}:
        return not text.lstrip().startswith("[")
    return set(_types(schema)) - {"object"} == {"string"} and "enum" not in schema


def expected(schema: Schema) -> str:
    """What the schema allows, in words."""
    words = [word for option in schema.get("anyOf", [schema]) for word in _words(option)]
    words = list(dict.fromkeys(words))
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def show(value: Any) -> str:
    """A value as a user would write it, cut to one line."""
    if isinstance(value, str):
        text = f"'{value}'" if value.isprintable() else repr(value)
    else:
        text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def plain(value: Any) -> str:
    """A value as it stands in a file, text without quotes."""
    return value if isinstance(value, str) else show(value)


def _types(schema: Schema) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _constant(schema: Schema) -> tuple[Any, ...]:
    return (schema["const"],) if "const" in schema else ()


def _fit(schema: Schema, value: Any) -> tuple[bool, Any]:
    if "enum" in schema or "const" in schema:
        return _listed_value(schema, value)
    if not schema:
        return True, value
    outcomes = (_of_type(kind, schema, value) for kind in _types(schema))
    return next((outcome for outcome in outcomes if outcome[0]), (False, None))


def _listed_value(schema: Schema, value: Any) -> tuple[bool, Any]:
    for allowed in (*schema.get("enum", ()), *_constant(schema)):
        if type(allowed) is type(value) and str(allowed).casefold() == str(value).casefold():
            return True, allowed
    return False, None


def _of_type(kind: str, schema: Schema, value: Any) -> tuple[bool, Any]:
    if kind in NUMBERS:
        return _number(kind, schema, value)
    if kind == "array":
        return _sequence(schema, value)
    if kind == "object":
        return _mapping(schema, value)
    types = {"string": str, "boolean": bool, "null": type(None)}
    matches = re.search(schema["pattern"], value) if "pattern" in schema and isinstance(value, str) else True
    return bool(isinstance(value, types[kind]) and matches), value


def _number(kind: str, schema: Schema, value: Any) -> tuple[bool, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False, None
    if kind == "integer":
        if value != int(value):
            return False, None
        value = int(value)
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above = schema.get("exclusiveMinimum", -math.inf)
    return low <= value <= high and value > above, value


def _sequence(schema: Schema, value: Any) -> tuple[bool, Any]:
    items = _any_or(schema.get("items"))
    if not isinstance(value, list) or len(value) < schema.get("minItems", 0) or not all(fits(items, v) for v in value):
        return False, None
    return True, [convert(items, item) for item in value]


def _mapping(schema: Schema, value: Any) -> tuple[bool, Any]:
    items = _any_or(schema.get("additionalProperties"))
    if not isinstance(value, dict) or not all(fits(items, item) for item in value.values()):
        return False, None
    return True, {key: convert(items, item) for key, item in value.items()}


def _any_or(schema: Schema | bool | None) -> Schema:
    """JSON Schema says that anything goes by leaving a schema out, or by true."""
    return schema if isinstance(schema, Mapping) else {}


def _words(schema: Schema) -> list[str]:
    if "patternErrorMessage" in schema:
        return [schema["patternErrorMessage"]]
    if "enum" in schema or "const" in schema:
        return [show(value) for value in (*schema.get("enum", ()), *_constant(schema))]
    names = {"boolean": "true or false", "string": "text", "null": "null"}
    return [names.get(kind) or _compound(kind, schema) for kind in _types(schema)] or ["anything"]


def _compound(kind: str, schema: Schema) -> str:
    if kind in NUMBERS:
        return ("an integer" if kind == "integer" else "a number") + _bounds(schema)
    if "properties" in schema:
        return f"a mapping of {', '.join(schema['properties'])}"
    inner = expected(_any_or(schema.get("items" if kind == "array" else "additionalProperties")))
    return f"a list of ({inner})" if kind == "array" else f"a mapping of names to ({inner})"


def _bounds(schema: Schema) -> str:
    bounds = (schema.get(bound) for bound in ("minimum", "maximum", "exclusiveMinimum"))
    low, high, above = (
        str(bound) if isinstance(bound, int) else None if bound is None else f"{bound:g}" for bound in bounds
    )
    if above is not None:
        return f" above {above}" + (f" up to {high}" if high is not None else "")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" of at least {low}" if low is not None else f" up to {high}" if high is not None else ""


def _bound(value: float | None) -> str | None:
    return f"{value:g}" if isinstance(value, float) else None if value is None else str(value)

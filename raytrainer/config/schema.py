"""The JSON Schema of a space file: what editors complete and check while it is written.

`python -m raytrainer.config.schema` prints it; the shipped copy is `search_spaces/space.schema.json`.
"""

from __future__ import annotations

import json
from typing import Any

from raytrainer.config.automatic import AUTO, known
from raytrainer.config.form import OF_A_CLASS, section_schemas, top_level
from raytrainer.config.parameter_form import WHEN
from raytrainer.config.reserved import searched
from raytrainer.config.ultralytics_arguments import arguments
from raytrainer.config.upstream import installed_version
from raytrainer.config.values import Schema, numeric


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 7, the one that editors of YAML know best) of a space file, for the installed Ultralytics.

    Raises:
        UserError: if Ultralytics is not installed.
    """
    definitions: dict[str, Any] = {"when": dict(WHEN)}
    names = {name: _or_auto(name, _shared(definitions, name, schema)) for name, schema in searched().items()}
    of_a_class = {rf"^{name}\..+": _of_a_class(definitions, name, schema) for name, schema in OF_A_CLASS.items()}
    space = {"type": ["object", "null"], "properties": names, "patternProperties": of_a_class}
    sections = {name: _section(schemas) for name, schemas in section_schemas().items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": f"for ultralytics {installed_version()}",
        "title": "raytrainer space file",
        "type": "object",
        "properties": {**top_level(), **sections, "space": space | {"additionalProperties": False}},
        "additionalProperties": False,
        "definitions": definitions,
    }


def _shared(definitions: dict[str, Any], name: str, values: Schema) -> dict[str, Any]:
    """A reference to the definition of such a parameter, which bears the name of the first that needed it."""
    schema = parameter_schema(values)
    known = next((key for key, other in definitions.items() if other == schema), name)
    definitions[known] = schema
    return {"description": _description(name), "allOf": [{"$ref": f"#/definitions/{known}"}]}


def _or_auto(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if name not in known():
        return schema
    text = "a range that follows from the model, the dataset and the optimizer"
    return {"description": schema["description"], "anyOf": [*schema["allOf"], {"const": AUTO, "description": text}]}


def _of_a_class(definitions: dict[str, Any], name: str, values: Schema) -> dict[str, Any]:
    return _shared(definitions, f"{name}.<class>", values) | {"description": f"Of one class, by its name: {name}"}


def parameter_schema(values: Schema) -> dict[str, Any]:
    """Schema of one parameter, whose values fit `values`."""
    when = {"$ref": "#/definitions/when"}
    plain = {key: value for key, value in values.items() if key not in ("default", "title", "description")}
    choices = {"type": "array", "items": plain, "minItems": 2, "uniqueItems": True}
    options: list[dict[str, Any]] = [
        {"type": "null", "description": "not searched"},
        choices,
        _closed({"choices": choices, "default": plain, "when": when}, ["choices"]),
    ]
    if number := numeric(values):
        step = {"type": number["type"], "exclusiveMinimum": 0}
        log = {"type": "boolean"}
        bounds = {"low": number, "high": number, "log": log, "step": step, "default": number, "when": when}
        options.append(_closed(bounds, ["low", "high"]))
    return {"anyOf": options}


def _section(schemas: dict[str, Schema]) -> dict[str, Any]:
    properties = {
        name: {"description": text} | dict(schema) if (text := _description(name)) else dict(schema)
        for name, schema in schemas.items()
    }
    return _closed(properties, []) | {"type": ["object", "null"]}


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _description(name: str) -> str:
    argument = arguments().get(name)
    return argument.description if argument else str(searched().get(name, {}).get("description", ""))


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))

"""A flag for every setting of the composed trainer, made from the settings themselves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from raytrainer.config.reserved import AT_THE_TOP
from raytrainer.config.settings import Settings
from raytrainer.config.values import is_text
from raytrainer.config.yaml_lines import parse_yaml
from raytrainer.results.request import Change


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the flags, each with the help that its field has."""
    group = parser.add_argument_group(
        "settings of the trainer", "Lists are written a,b,c, weights of classes name=weight,name=weight."
    )
    for name, schema in _schemas().items():
        text = schema["description"].replace("\n", " ").replace("`", "").replace("%", "%%")
        if schema.get("type") == "boolean":
            group.add_argument(flag(name), dest=key(name), action=argparse.BooleanOptionalAction, help=text)
        elif schema.get("type") == "array":
            text = f"{text} Repeatable."
            group.add_argument(flag(name), dest=key(name), metavar=_metavar(schema), action="append", help=text)
        else:
            group.add_argument(flag(name), dest=key(name), metavar=_metavar(schema), help=text)


def settings_changes(args: argparse.Namespace) -> Iterator[Change]:
    """What the flags ask for."""
    for name, schema in _schemas().items():
        value = getattr(args, key(name))
        if isinstance(value, list):
            value = ",".join(value)
        if value is not None:
            yield Change(key(name), worded(value, schema) if isinstance(value, str) else value, flag(name))


def setting_value(name: str, text: str) -> Any:
    """The value of a setting as it is written on the command line.

    Raises:
        UserError: if a weight of a class is not YAML.
    """
    return worded(text, _schemas()[name])


def worded(text: str, schema: Mapping[str, Any]) -> Any:
    """`a=1,b=2` as a mapping and `1,2` as a list, where the schema has such things; anything else stays text.

    Where there is nothing but a list of texts, these are told apart by the commas outside brackets.

    Raises:
        UserError: if a value of a mapping is not YAML.
    """
    kinds = {option.get("type") for option in schema.get("anyOf", [schema])}
    if text.lstrip().startswith(("[", "{")):
        return text
    if kinds == {"array"}:
        return list(_between_commas(text))
    if "object" in kinds and "=" in text:
        pairs = [pair.partition("=") for pair in text.split(",")]
        return {name.strip(): parse_yaml(value.strip(), text)[0] for name, _, value in pairs}
    return f"[{text}]" if "array" in kinds and "," in text and not is_text(schema, text) else text


def _between_commas(text: str) -> Iterator[str]:
    """The parts of a text; a comma inside brackets, as in `AP[a, b]`, parts nothing."""
    part, depth = "", 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            yield part.strip()
            part = ""
        else:
            part += character
    yield part.strip()


def flag(name: str) -> str:
    """`--backbone-lr-ratio` of `backbone_lr_ratio`."""
    return "--" + name.replace("_", "-")


def key(name: str) -> str:
    """Where a setting stands in a space: `trainer.freeze`; the fitness and its constraints stand at the top."""
    return name if name in AT_THE_TOP else f"trainer.{name}"


def _schemas() -> dict[str, Any]:
    properties: dict[str, Any] = Settings.model_json_schema()["properties"]
    return properties


def _metavar(schema: Mapping[str, Any]) -> str:
    """Names that are allowed, and what else is."""
    shown = {
        "number": "X",
        "integer": "N",
        "string": "TEXT",
        "array": "LIST",
        "object": "NAME=X,...",
        "boolean": "true|false",
    }
    options = schema.get("anyOf", [schema])
    words = [
        word
        for option in options
        for word in (option.get("enum") or [option.get("const") or shown.get(option.get("type", ""), "")])
    ]
    return "|".join(dict.fromkeys(word for word in words if word))

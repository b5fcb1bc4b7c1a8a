"""YAML that keeps the line of every key: safe, strict, and with the plain scalars of YAML 1.2; and its writing.

PyYAML reads YAML 1.1, where `1e-5` is text and `no` is false. Here numbers and booleans are those of the core schema
of YAML 1.2 (section 10.3 of its specification). Keys are always text. Merge keys and dates do not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from raytrainer.config.problems import KeyPath, Origin, Origins, Problem, UserError
from raytrainer.config.values import show

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 40
MAX_DIGITS = 250
"""Of an integer: as a float, which it is compared with, it is finite, in base 16 too."""
STANDARD = "tag:yaml.org,2002:"

SCALARS: list[tuple[str, str, str]] = [
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
]


class _CoreLoader(yaml.SafeLoader):
    """Composes nodes; the resolvers of YAML 1.1 that it inherits are replaced."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _name, _pattern, _first in SCALARS:
    _CoreLoader.add_implicit_resolver(STANDARD + _name, re.compile(f"(?:{_pattern})$"), [*_first, ""])


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("too long for any number")
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _real(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


CONVERT: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _real,
    "str": str,
}


def read_yaml(path: Path) -> tuple[dict[str, Any], Origins]:
    """The mapping in a file, and where each of its keys stands; an empty file is an empty mapping.

    Raises:
        UserError: if the file cannot be read, is over 1 MB or not UTF-8, is not YAML, holds something that is not
            plain data (a tag of its own, a duplicate key, aliases that grow without end) or no mapping at the top.
    """
    text = _text(path)
    value, origins = parse_yaml(text, str(path))
    if value is not None and not isinstance(value, dict):
        raise UserError([Problem(str(path), 1, None, f"expected a mapping of keys to values, got a {_kind(value)}")])
    return value or {}, origins


def parse_yaml(text: str, file: str) -> tuple[Any, Origins]:
    """The plain data in `text`, and where each of its keys stands; `file` names it in errors.

    Raises:
        UserError: as `read_yaml` does.
    """
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
        reader = _Reader(file)
        value = reader.value(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        if said.endswith("got '['"):  # `[AP[Platelets], recall]`
            said += '; in a list, text with brackets needs quotes: "AP[name]"'
        raise UserError([Problem(file, mark.line + 1 if mark else None, None, f"not valid YAML: {said}")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError([Problem(file, line, None, "not valid YAML: a control character")]) from None
    except (ValueError, OverflowError) as error:  # an escape such as "\\UFFFFFFFF" that PyYAML does not check
        raise UserError([Problem(file, None, None, f"not valid YAML: {error}")]) from None
    except RecursionError:
        raise UserError([Problem(file, None, None, f"nested deeper than {MAX_DEPTH} levels")]) from None
    return value, Origins({(): Origin(file)} | reader.places)


def dump_yaml(data: Any) -> str:
    """Plain data as text that `parse_yaml`, and any reader of YAML 1.1, turns into the same data."""
    return yaml.dump(data, Dumper=_CoreDumper, sort_keys=False, allow_unicode=True, width=120)


class _CoreDumper(yaml.SafeDumper):
    """Quotes texts that YAML 1.2 would take for a number, beside those that YAML 1.1 would."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    ambiguous = any(re.fullmatch(pattern, text) for _, pattern, _ in SCALARS)
    # PyYAML folds the line breaks of Unicode into a blank unless they stand escaped between double quotes.
    style = '"' if text and text.splitlines() != [text] else "'" if ambiguous else None
    return dumper.represent_scalar(f"{STANDARD}str", text, style=style)


_CoreDumper.add_representer(str, _quoted)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise UserError([Problem(str(path), None, None, f"cannot be read: {error.strerror}")]) from None
    if raw is None:
        raise UserError([Problem(str(path), None, None, "is over 1 MB, which no space file needs")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError([Problem(str(path), line, None, "is not UTF-8 text")]) from None


def _kind(value: Any) -> str:
    return "list" if isinstance(value, list) else "single value"


class _Reader:
    """Turns nodes into plain data and remembers the lines; counts nodes, so that aliases cannot multiply."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[KeyPath, Origin] = {}
        self._nodes = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._error(node, path, f"holds more than {MAX_NODES} values once its aliases are followed")
        if len(path) > MAX_DEPTH:
            raise self._error(node, (), f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._standard(node, path, {"map", "seq"})
        return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        kind = self._standard(node, path, set(CONVERT))
        try:
            return CONVERT[kind](node.value)
        except ValueError:
            raise self._error(node, path, f"{show(node.value)} is no {kind}") from None

    def _sequence(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self.places[here] = Origin(self.file, item.start_mark.line + 1)
            values.append(self.value(item, here))
        return values

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, path, "a key must be a single value")
            here = (*path, key.value)
            if key.value == "<<":
                raise self._error(key, path, "merge keys (<<) do not exist here: write out what they would bring")
            if key.value in values:
                first = self.places[here].line
                raise self._error(key, here, f"duplicate key, first given in line {first}")
            self.places[here] = Origin(self.file, key.start_mark.line + 1)
            values[key.value] = self.value(item, here)
        return values

    def _standard(self, node: yaml.Node, path: KeyPath, kinds: set[str]) -> str:
        kind = node.tag.removeprefix(STANDARD)
        if kind not in kinds:
            raise self._error(node, path, f"the tag {node.tag.replace(STANDARD, '!!')} is not allowed")
        return kind

    def _error(self, node: yaml.Node, path: KeyPath, message: str) -> UserError:
        key = ".".join(map(str, path)) or None
        return UserError([Problem(self.file, node.start_mark.line + 1, key, message)])

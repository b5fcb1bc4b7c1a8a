"""A space file as it was written, changed by what the command line asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from raytrainer.config.earlier import RENAMED
from raytrainer.config.problems import KeyPath, Origin, Origins, Problem, UserError
from raytrainer.config.yaml_lines import parse_yaml

PARAMETER_FIELDS = ("low", "high", "log", "step", "choices", "default", "when")
CLASS_WEIGHTS = "class_weights"
CLASS_OFFSETS = "class_weight_offsets"
BY_CLASS = (CLASS_WEIGHTS, CLASS_OFFSETS)
"""Settings that hold a number for a class, and are searched as `class_weights.<name>`."""
PART = r"""(?:"[^"]*"(?=[.=]|$)|'[^']*'(?=[.=]|$)|[^.=]*)"""
KEY = re.compile(rf"\s*{PART}(?:\.{PART})*=")
"""A dotted key up to its `=`. As in TOML, what stands between quotes is one part of it, whatever it holds."""


class Document:
    """The data of a file, and where each value comes from: a line, or the flag that replaced it."""

    def __init__(self, data: dict[str, Any], origins: Origins, is_text: Callable[[KeyPath, str], bool]) -> None:
        """`is_text` tells whether what was typed for a path is free text, which is taken as it is."""
        self.data = data
        self.origins = origins
        self._is_text = is_text

    def override(self, text: str) -> None:
        """Apply `key.path=value`; the value is YAML, so `null`, `[1, 2]` and `{low: 1, high: 2}` work.

        A class whose name holds `=` is quoted: `space.class_weights."a=b".high=3`.

        Raises:
            UserError: if it has no `=`, its value is not YAML, or its key goes through a value that has no keys.
        """
        flag = f"--set {text}"
        key, value = assignment(text)
        if not key:
            raise UserError([Problem(flag, None, None, "expected key.path=value, such as train.imgsz=320")])
        self.replace(key, value, flag)

    def replace(self, key: str, value: Any, flag: str) -> None:
        """Set the value at a dotted key; text is read as YAML unless the key holds free text.

        Raises:
            UserError: as `override` does.
        """
        path = split(key)
        path = list(RENAMED.get(tuple(path), path))
        if isinstance(value, str) and not self._is_text(tuple(path), value):
            value = _typed(value, flag, key)
        parent = self.data
        for depth, name in enumerate(path[:-1], start=1):
            if parent.get(name) is None:
                parent[name] = {}
                self.origins.replace(tuple(path[:depth]), Origin(flag))
            parent = parent[name]
            if not isinstance(parent, dict):
                held = ".".join(path[:depth])
                raise UserError([Problem(flag, None, key, f"{held} is not a mapping, so it has no '{path[depth]}'")])
        parent[path[-1]] = value
        self.origins.replace(tuple(path), Origin(flag))


def _typed(text: str, flag: str, key: str) -> Any:
    try:
        return parse_yaml(text, flag)[0]
    except UserError as error:  # a line of what stands on the command line says nothing
        raise UserError(Problem(flag, None, key, problem.message) for problem in error.problems) from None


def assignment(text: str) -> tuple[str, str]:
    """Key and value of `key=value`, where the first `=` outside quotes parts them; no key if there is none."""
    found = KEY.match(text)
    return (text[: found.end() - 1].strip(), text[found.end() :].strip()) if found else ("", "")


def split(key: str) -> list[str]:
    """The path of a dotted key; class names keep their dots: `space.class_weights.St. Bernard.low`.

    So do parts between quotes: `space.class_weights."low.high".low`.
    """
    written = list(_parts(key))
    parts = [_bare(part) for part in written]
    if len(parts) > 2 and parts[0] == "space" and parts[1] in BY_CLASS:
        fields = (i for i, part in enumerate(written) if i > 2 and part in PARAMETER_FIELDS)
        end = next(fields, len(parts))
        return ["space", ".".join(parts[1:end]), *parts[end:]]
    if len(parts) > 2 and parts[0] == "trainer" and parts[1] in BY_CLASS:
        return [*parts[:2], ".".join(parts[2:])]
    return parts


def by_class(name: str) -> tuple[str, str] | None:
    """Setting and class of a parameter such as `class_weights.Platelets`; None for every other."""
    setting, dot, label = name.partition(".")
    return (setting, label) if dot and setting in BY_CLASS else None


def _parts(key: str) -> Iterator[str]:
    place = 0
    while place <= len(key):
        found = re.compile(PART).match(key, place)
        assert found is not None  # a part may be empty
        yield found[0]
        place = found.end() + 1


def _bare(part: str) -> str:
    quoted = len(part) > 1 and part[0] in "\"'" and part[-1] == part[0]
    return part[1:-1] if quoted else part

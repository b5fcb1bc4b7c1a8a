"""YAML of others, a data.yaml or a model's, read as Ultralytics reads it but within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from raytrainer.config.yaml_lines import MAX_NODES

MAX_BYTES = 2_000_000
"""A data.yaml with the names of 20,000 classes has a third of it."""


def read_plain(file: Path, errors: str = "strict") -> Any:
    """What `yaml.safe_load` gives.

    Args:
        file: the file.
        errors: as `bytes.decode` has it.

    Raises:
        ValueError: if it cannot be read, is over 2 MB, is no YAML, holds a tag that is not plain data, or aliases that
            grow without end; the message is one line.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"is over {MAX_BYTES // 1_000_000} MB")
        content = yaml.safe_load(file.read_text(encoding="utf-8", errors=errors))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"cannot be read: {' '.join(str(error).split())}") from None
    if _many(content):
        raise ValueError(f"holds more than {MAX_NODES} values once its aliases are followed")
    return content


def _many(content: Any) -> bool:
    """Whether there are more values than a person writes, one of them perhaps within itself."""
    count, waiting = 0, [content]
    while waiting and count <= MAX_NODES:
        value = waiting.pop()
        count += 1
        if isinstance(value, list | tuple | set):
            waiting += value
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
    return count > MAX_NODES

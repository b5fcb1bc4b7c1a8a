"""What can be told about a model without loading it: its family, its task, how long its backbone is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from raytrainer.config.assets import (
    URL,
    checkpoints,
    downloadable,
    downloaded,
    model_yaml,
    model_yamls,
    renamed,
    with_suffix,
)
from raytrainer.config.checkpoint_yaml import NoCheckpoint, checkpoint_yaml
from raytrainer.config.plain_yaml import read_plain
from raytrainer.config.problems import suggest

TASK_OF_HEAD = (
    ("classify", "classify"), ("semanticsegment", "semantic"), ("segment", "segment"), ("pose", "pose"),
    ("obb", "obb"), ("depth", "depth"), ("detect", "detect"), ("rtdetr", "detect"),
)  # fmt: skip
"""Parts of a head's class name, the first that fits (`guess_model_task`, ultralytics/nn/tasks.py)."""

TASK_OF_NAME = {"seg": "segment", "sem": "semantic", "pose": "pose", "cls": "classify", "obb": "obb", "depth": "depth"}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known about a model; None is not known."""

    family: Literal["yolo", "rtdetr"] | None = None
    task: str | None = None
    head: str | None = None
    """Class of the head, such as `Detect` or `RTDETRDecoder`."""
    backbone: int | None = None
    """Number of layers of the backbone."""
    layers: int | None = None
    """Number of all layers."""
    problem: str | None = None
    """Why it is no model."""


def model_facts(model: str) -> ModelFacts:
    """What the file says, or its name: a model YAML, the YAML inside a checkpoint, or a name that Ultralytics knows."""
    if URL.match(model):
        return _by_name(Path(model).name)
    if Path(model).suffix in (".yaml", ".yml"):
        return _by_yaml(model)
    model = with_suffix(model)
    if file := downloaded(model):
        return _by_checkpoint(file)
    if Path(renamed(model)).name in downloadable():
        return _by_name(renamed(model))
    known = [*checkpoints(), *model_yamls()]
    return ModelFacts(problem=f"no such model: neither a file nor one that Ultralytics knows{suggest(model, known)}")


def _by_yaml(model: str) -> ModelFacts:
    file = model_yaml(model)
    if file is None:
        return ModelFacts(problem=f"no such model YAML{suggest(Path(model).name, model_yamls())}")
    try:
        content = read_plain(file)
    except ValueError as error:
        return ModelFacts(problem=f"{file} {error}")
    parts = [content.get(key) for key in ("backbone", "head")] if isinstance(content, dict) else []
    if not parts or not all(isinstance(part, list) and part for part in parts):
        return ModelFacts(problem=f"{file} is no model YAML: it has no lists backbone and head")
    return _of_yaml(content)


def _by_checkpoint(file: Path) -> ModelFacts:
    try:
        content = checkpoint_yaml(file)
    except (NoCheckpoint, OSError) as error:
        return ModelFacts(problem=str(error))
    return _of_yaml(content) if content else _by_name(file.name)


def _of_yaml(content: Mapping[str, Any]) -> ModelFacts:
    backbone, head = content.get("backbone"), content.get("head")
    try:
        name = str(head[-1][-2])  # type: ignore[index]
        lengths = len(backbone), len(backbone) + len(head)  # type: ignore[arg-type]
    except (IndexError, KeyError, TypeError):
        return ModelFacts(family=None, task=content.get("task"))
    task = content.get("task") or next((task for part, task in TASK_OF_HEAD if part in name.lower()), None)
    return ModelFacts("rtdetr" if "RTDETR" in name else "yolo", task, name, *lengths)


def _by_name(name: str) -> ModelFacts:
    """From the name of a checkpoint that is not at hand. One of a user's own says little about its task."""
    stem = Path(name).stem.lower()
    if re.match(r"rt-?detr", stem):
        return _with_shipped_yaml(stem, ModelFacts("rtdetr", "detect"))
    if not re.match(r"yolo(v?\d|e-)", stem):
        return ModelFacts()
    task = next((task for part, task in TASK_OF_NAME.items() if f"-{part}" in stem), None)
    if task is None and Path(name).name in downloadable():
        task = "detect"
    return _with_shipped_yaml(stem, ModelFacts("yolo", task))


def _with_shipped_yaml(stem: str, facts: ModelFacts) -> ModelFacts:
    """A checkpoint that Ultralytics offers has the layers of the shipped YAML of its name."""
    file = model_yaml(f"{stem}.yaml") or model_yaml(f"{stem.removesuffix('u')}.yaml")
    return _by_yaml(str(file)) if file else facts

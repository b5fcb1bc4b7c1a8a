"""The training arguments of the installed Ultralytics: names, defaults, types, ranges, and which may be searched.

Names, defaults, types and descriptions are read from cfg/default.yaml; the arguments that are fractions and the least
values of integers from cfg/__init__.py. Both are read as text. The tables here add what upstream states only in code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from raytrainer.config.upstream import assignments, package
from raytrainer.config.values import Schema

TYPES = {
    "int": "integer", "float": "number", "bool": "boolean", "str": "string", "list": "array", "tuple": "array",
}  # fmt: skip

OPTIMIZERS = ["SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop", "auto"]
"""`build_optimizer` in engine/trainer.py."""

STATED: dict[str, Schema] = {
    "optimizer": {"type": "string", "enum": OPTIMIZERS},
    "copy_paste_mode": {"type": "string", "enum": ["flip", "mixup"]},  # CopyPaste in data/augment.py
    "auto_augment": {"enum": ["randaugment", "autoaugment", "augmix", None]},  # classify_augmentations, data/augment.py
    "amp": {"anyOf": [{"type": "boolean"}, {"enum": ["fp16", "bf16", "fp32"]}]},  # check_cfg in cfg/__init__.py
    "cache": {"anyOf": [{"type": "boolean"}, {"enum": ["ram", "disk", "shared"]}]},
    "fraction": {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                           {"type": "integer", "minimum": 2},
                           {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2}]},
    "scale": {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1},
                        {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2}]},
    "batch": {"anyOf": [{"type": "integer", "minimum": 1}, {"enum": [-1]},
                        {"type": "number", "exclusiveMinimum": 0, "maximum": 1}]},  # auto_batch in engine/trainer.py
    "freeze": {"anyOf": [{"type": "integer", "minimum": 0},
                         {"type": "array", "items": {"type": ["integer", "string"]}}, {"type": "null"}]},
    "classes": {"anyOf": [{"type": "integer", "minimum": 0},
                          {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
                          {"type": "null"}]},
    "quantize": {"enum": [8, 16, 32, "int8", "fp16", "fp32", "w8a8", "w16a16", "w32a32", "w8a16", "w8a32", None]},
    "imgsz": {"type": "integer", "minimum": 32},  # check_imgsz with max_dim=1 and floor=stride in engine/trainer.py
}  # fmt: skip

LARGEST_SEED = 2**31 - 1
"""NumPy takes twice that, and Ultralytics adds the rank (`init_seeds` in utils/torch_utils.py)."""

GAINS = ("box", "cls", "dfl", "pose", "kobj", "rle", "angle", "dlog", "dgrad", "dis")

BOUNDS: dict[str, Schema] = {
    **{name: {"minimum": 0, "maximum": 180} for name in ("degrees", "shear")},
    "seed": {"minimum": 0, "maximum": LARGEST_SEED},
    **{name: {"minimum": 0} for name in ("warmup_epochs", "close_mosaic", "workers", *GAINS)},
}
"""Upstream takes negative gains and angles and trains on nonsense."""

TRAINING_SECTIONS = ("Train settings", "Segmentation", "Classification", "Hyperparameters")

IMAGE_STRIDE = 32
"""Sizes are rounded up to a multiple of it (`_setup_train` in engine/trainer.py)."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of `model.train()`."""

    name: str
    default: Any
    schema: Mapping[str, Any]
    """JSON Schema of its values."""
    section: str
    """Heading in cfg/default.yaml, such as `Hyperparameters`."""
    description: str

    @property
    def trains(self) -> bool:
        """Whether it stands under one of the headings that concern training, not prediction or export."""
        return self.section in TRAINING_SECTIONS


@cache
def arguments() -> Mapping[str, Argument]:
    """Every argument of the installed Ultralytics by name, in the order of cfg/default.yaml.

    Raises:
        UserError: if Ultralytics is not installed.
    """
    text = (package() / "cfg" / "default.yaml").read_text(encoding="utf-8")
    defaults, fractions, least = yaml.safe_load(text), _fractions(), _least()
    found: dict[str, Argument] = {}
    section = ""
    for line in text.splitlines():
        if heading := re.match(r"# ([A-Z][\w/. ]*?)(?: settings)? -{5,}$", line):
            section = _heading(heading[1])
        elif entry := re.match(r"(\w+):.*?# \(([^)]*)\) (.*)", line):
            name, types, description = entry.groups()
            schema = STATED.get(name) or _schema(name, types, defaults[name], fractions, least)
            found[name] = Argument(name, defaults[name], schema, section, description)
    return found


def defaults() -> dict[str, Any]:
    """Default value of every argument."""
    return {name: argument.default for name, argument in arguments().items()}


def _heading(text: str) -> str:
    return "Train settings" if text == "Train" else text


def _schema(name: str, types: str, default: Any, fractions: set[str], least: Mapping[str, int]) -> Schema:
    kinds = [TYPES[kind.strip()] for kind in re.split(r"[|,]", types) if kind.strip() in TYPES]
    if "optional" in types or default is None:
        kinds.append("null")
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if name in fractions:
        schema |= {"minimum": 0, "maximum": 1}
    if name in least:
        schema["minimum"] = least[name]
    return schema | dict(BOUNDS.get(name, {}))


def _fractions() -> set[str]:
    """`CFG_FRACTION_KEYS`: arguments between 0 and 1."""
    call = dict(assignments("cfg/__init__.py"))["CFG_FRACTION_KEYS"]
    assert isinstance(call, ast.Call)
    return set(ast.literal_eval(call.args[0]))


def _least() -> dict[str, int]:
    """`CFG_INT_MIN`: the least values of integers."""
    return dict(ast.literal_eval(dict(assignments("cfg/__init__.py"))["CFG_INT_MIN"]))

"""Names that Ultralytics resolves by itself: checkpoints that it downloads, model and dataset YAMLs that it ships."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

from raytrainer.config.upstream import assignments, package, weights_folder

SCALES = "nsmlx"
URL = re.compile(r"(https?|ul|gs|rtsp|grpc)://", re.IGNORECASE)


@cache
def downloadable() -> frozenset[str]:
    """File names that Ultralytics downloads (`GITHUB_ASSETS_NAMES` in ultralytics/utils/downloads.py)."""
    expression = dict(assignments("utils/downloads.py"))["GITHUB_ASSETS_NAMES"]
    assert isinstance(expression, ast.Call)
    return frozenset(_texts(expression.args[0]))


def checkpoints() -> list[str]:
    """Names of the checkpoints that Ultralytics downloads."""
    return sorted(name for name in downloadable() if name.endswith(".pt"))


def with_suffix(model: str) -> str:
    """`yolo26n` is `yolo26n.pt` (`check_model_file_from_stem` in ultralytics/utils/checks.py)."""
    return f"{model}.pt" if not Path(model).suffix and f"{Path(model).name}.pt" in downloadable() else model


def renamed(model: str) -> str:
    """`yolov5n.pt` is `yolov5nu.pt` (`check_yolov5u_filename` in ultralytics/utils/checks.py)."""
    path = Path(model)
    if path.suffix == ".pt" and re.fullmatch(r"yolov5[nsmlx]6?|yolov3(-tiny|-spp)?", path.stem):
        return str(path.with_name(f"{path.stem}u.pt"))
    return model


def downloaded(model: str) -> Path | None:
    """A checkpoint that is at hand: as given, or in the folder that Ultralytics downloads weights to."""
    folder = weights_folder()
    for candidate in (Path(model), Path(renamed(model)), *([folder / renamed(model)] if folder else [])):
        if os.path.isfile(candidate):
            return candidate
    return None


def model_yaml(name: str) -> Path | None:
    """A model YAML: as given, or shipped, where `yolo11n.yaml` is `yolo11.yaml` (`yaml_model_load`, nn/tasks.py)."""
    if os.path.isfile(name):
        return Path(name)
    shipped = {file.name: file for file in _shipped("cfg/models")}
    stem = Path(name).stem
    if re.fullmatch(r"yolov[58][nsmlx]6.*", stem):
        stem = re.sub(r"(\d+)([nslmx])6(.+)?$", r"\1\2-p6\3", stem)
    unified = re.sub(r"(\d+)([nslmx])(.+)?$", r"\1\3", stem)
    return shipped.get(f"{stem}.yaml") or shipped.get(f"{unified}.yaml")


def model_yamls() -> list[str]:
    """Names of the shipped model YAMLs, with every scale that they may be written with."""
    names = []
    for file in _shipped("cfg/models"):
        scaled = re.sub(r"^(yolo(?:e-)?v?\d+)(?=-|$)", r"\1{}", file.stem)
        has_scales = "{}" in scaled and "\nscales:" in file.read_text(encoding="utf-8")
        names += [scaled.format(scale) + ".yaml" for scale in SCALES] if has_scales else [file.name]
    return names


def dataset_yaml(name: str) -> Path | None:
    """A dataset YAML that is shipped, by its name with or without `.yaml`."""
    shipped = {file.name: file for file in _shipped("cfg/datasets")}
    return (
        shipped.get(Path(name).name) or shipped.get(f"{Path(name).name}.yaml") if Path(name).parent == Path() else None
    )


def dataset_yamls() -> list[str]:
    """Names of the shipped dataset YAMLs."""
    return [file.name for file in _shipped("cfg/datasets")]


@cache
def _shipped(folder: str) -> tuple[Path, ...]:
    return tuple(sorted((package() / folder).rglob("*.yaml")))


def _texts(node: ast.expr) -> Iterator[str]:
    """Texts of a sum of lists and list comprehensions over f-strings; other parts have none."""
    if isinstance(node, ast.BinOp):
        yield from _texts(node.left)
        yield from _texts(node.right)
    elif isinstance(node, ast.List):
        yield from (item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str))
    elif isinstance(node, ast.ListComp) and isinstance(node.elt, ast.JoinedStr):
        names = [ast.unparse(generator.target) for generator in node.generators]
        for values in product(*(ast.literal_eval(generator.iter) for generator in node.generators)):
            yield _formatted(node.elt, dict(zip(names, values, strict=True)))


def _formatted(text: ast.JoinedStr, values: dict[str, str]) -> str:
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else values[ast.unparse(part.value)]
        for part in text.values
        if isinstance(part, ast.Constant | ast.FormattedValue)
    )

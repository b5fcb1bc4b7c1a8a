"""A dataset as Ultralytics resolves it: its files, class names, instances of each class, and its fingerprint.

Follows `check_det_dataset` and `check_cls_dataset` in ultralytics/data/utils.py, without importing or downloading.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from raytrainer.config.assets import dataset_yaml, dataset_yamls
from raytrainer.config.foreign_data import ARCHIVES, refuse_outside, refuse_script
from raytrainer.config.labels import IMAGES, find_images, label_file, read_labels
from raytrainer.config.plain_yaml import read_plain
from raytrainer.config.problems import Problem, UserError, suggest
from raytrainer.config.remote_data import brings_images, local
from raytrainer.config.upstream import datasets_folder, package

SHOWN_PROBLEMS = 5
CLASSIFICATION = (
    "caltech101", "caltech256", "cifar10", "cifar100", "fashion-mnist", "imagenet", "imagenet10", "imagenet100",
    "imagenette", "imagewoof", "mnist",
)  # fmt: skip
"""Datasets that Ultralytics downloads for classifiers (docs.ultralytics.com/datasets/classify)."""


@dataclass(frozen=True)
class Dataset:
    """A dataset whose files have been found and read; images are absolute paths in sorted order."""

    file: Path
    """The data.yaml, or the folder of a classification dataset."""
    names: dict[int, str]
    train: list[Path]
    val: list[Path]
    counts: dict[str, int]
    """Instances of every class in the training labels."""
    val_counts: dict[str, int] = field(default_factory=dict)
    """Instances of every class in the validation labels."""
    polygons: bool = False
    """Whether every training label is a polygon, without which copy_paste finds nothing to copy."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The other keys of the data.yaml, such as `channels`, `kpt_shape` and `flip_idx`."""
    present: bool = True
    """Whether its images are here; else Ultralytics will download them and only the names are known."""


def read_dataset(data: str, *, classify: bool = False) -> Dataset:
    """Find and read a dataset by the path of its data.yaml, its folder, or a name that Ultralytics knows.

    Args:
        data: as Ultralytics takes it, but for its addresses and archives; or a URI (see `remote_data`), fetched if need
            be.
        classify: whether it is for a classifier, whose datasets have names of their own.

    Raises:
        UserError: if it is not there or cannot be used: no images, no validation split, a label that is out of range or
            of a class that the dataset does not have. With the first of its bad labels, and how many there are. Also if
            it was fetched and has images elsewhere, or if its images are missing and a script would get them.
    """
    if classify and data in CLASSIFICATION and not (datasets_folder() / data).is_dir():
        return Dataset(Path(data), {}, [], [], {}, present=False)
    path = _find(here := local(data))
    dataset = _classification(path) if path.is_dir() else _detection(path)
    if brings_images(data):
        refuse_outside(dataset.file, (*dataset.train, *dataset.val), Path(here).resolve())
    return dataset


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 over names and sizes of the images and the contents of their labels, the same wherever it lies.

    Raises:
        OSError: if a file has gone since the dataset was read.
    """
    entries = [repr(sorted(dataset.names.items())).encode()]
    for split, images in (("train", dataset.train), ("val", dataset.val)):
        entries += [
            f"{split}/{image.parent.name}/{image.name}:{image.stat().st_size}".encode() + _digest(image)
            for image in images
        ]
    return hashlib.sha256(b"\n".join(sorted(entries))).hexdigest()


def _digest(image: Path) -> bytes:
    """Of the image's labels, which it may lack."""
    labels = label_file(image)
    return hashlib.sha256(labels.read_bytes() if labels.is_file() else b"").digest()


def _error(file: Path | str, message: str) -> UserError:
    return UserError([Problem(str(file), None, None, message)])


def _find(data: str) -> Path:
    path = Path(data)
    if os.path.isfile(data):
        if path.suffix not in (".yaml", ".yml"):
            raise _error(
                data, "expected a data.yaml or a folder" + (", not an archive" if path.suffix in ARCHIVES else "")
            )
        return path
    if os.path.isdir(data):
        return _yaml_of(path)
    if shipped := dataset_yaml(data):
        return shipped
    if not path.suffix and os.path.isdir(folder := datasets_folder() / path):
        return _yaml_of(folder)
    raise _error(
        data, f"no such dataset: neither a file nor one that Ultralytics knows{suggest(data, dataset_yamls())}"
    )


def _yaml_of(folder: Path) -> Path:
    """The YAML of a dataset's folder (`find_dataset_yaml`), or the folder itself if it has a folder for every class."""
    files = [*folder.glob("*.yaml"), *folder.glob("*.yml")]
    files = [file for file in files if file.stem == folder.stem] if len(files) > 1 else files
    if len(files) == 1:
        return files[0]
    if (folder / "train").is_dir() and any(child.is_dir() for child in (folder / "train").iterdir()):
        return folder
    raise _error(folder, "no data.yaml in this folder, and no train/<class>/ either")


def _detection(file: Path) -> Dataset:
    content = _content(file)
    names = _names(file, content)
    splits = {split: _sources(file, content, split) for split in ("train", "val")}
    if content.get("download") and not all(source.exists() for source in splits["val"]):
        refuse_script(file, content["download"], splits["val"])
        return Dataset(file, names, [], [], {}, options=content, present=False)
    images = {split: _images(file, split, sources, content) for split, sources in splits.items()}
    keypoints = _keypoints(file, content)
    labels = {split: read_labels(images[split], len(names), keypoints) for split in splits}
    problems = [problem for split in labels.values() for problem in split.problems]
    if problems:
        raise UserError(_first(file, problems))
    if not labels["train"].counts:
        raise _unlabelled(file, "training", images["train"])
    if not labels["val"].counts:
        raise _unlabelled(file, "validation", images["val"])
    counts = {split: _named(names, labels[split].counts) for split in labels}
    polygons = labels["train"].polygons == labels["train"].counts.total()
    return Dataset(file, names, images["train"], images["val"], counts["train"], counts["val"], polygons, content)


def _unlabelled(file: Path, which: str, images: Sequence[Path]) -> UserError:
    return _error(file, f"the {which} images have no labels; the first was looked for at {label_file(images[0])}")


def _content(file: Path) -> dict[str, Any]:
    try:
        content = read_plain(file, errors="ignore")
    except ValueError as error:
        raise _error(file, str(error)) from None
    if not isinstance(content, dict):
        raise _error(file, "expected a mapping with train, val and names")
    return content


def _names(file: Path, content: Mapping[str, Any]) -> dict[int, str]:
    names, count = content.get("names"), content.get("nc")
    if names is None and isinstance(count, int):
        return {index: f"class_{index}" for index in range(count)}
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise _error(file, "names: expected a list of class names, or a mapping of indices to names")
    try:
        indexed = {int(index): str(name) for index, name in sorted(names.items(), key=lambda item: int(item[0]))}
    except (TypeError, ValueError):
        raise _error(file, "names: expected integers as indices of the classes") from None
    if list(indexed) != list(range(len(indexed))):
        raise _error(
            file, f"names: expected the indices 0 to {len(indexed) - 1}, got {', '.join(map(str, indexed))}"[:200]
        )
    if isinstance(count, int) and count != len(indexed):
        raise _error(file, f"nc: {count}, but names has {len(indexed)}")
    return _readable(indexed)


def _readable(names: dict[int, str]) -> dict[int, str]:
    """ImageNet's codes as words (`check_class_names` in ultralytics/nn/autobackend.py)."""
    if not names[0].startswith("n0"):
        return names
    words = yaml.safe_load((package() / "cfg/datasets/ImageNet.yaml").read_text(encoding="utf-8"))["map"]
    return {index: words.get(name, name) for index, name in names.items()}


def _sources(file: Path, content: Mapping[str, Any], split: str) -> list[Path]:
    given = content.get(split) or (content.get("validation") if split == "val" else None)
    if not isinstance(given, str | list) or not given:
        raise _error(file, f"{split}: is missing; expected a folder of images, a list of folders, or a text file")
    root = Path(str(content.get("path") or file.parent))
    if not root.exists() and not root.is_absolute():
        root = datasets_folder() / root
    sources = [(root / str(each)).resolve() for each in (given if isinstance(given, list) else [given])]
    if isinstance(given, str) and not sources[0].exists() and given.startswith("../"):
        sources = [(root / given[3:]).resolve()]
    return sources


def _roots(content: Mapping[str, Any]) -> str:
    """Where a relative `path:` is looked up, which is not the folder of the data.yaml."""
    if not content.get("path") or Path(str(content["path"])).is_absolute():
        return ""
    return f"; a relative path: is one in the working folder or in {datasets_folder()}, not beside the data.yaml"


def _images(
    file: Path, split: str, sources: Sequence[Path], content: Mapping[str, Any] = MappingProxyType({})
) -> list[Path]:
    for source in sources:
        if not source.exists():
            raise _error(file, f"{split}: {source} does not exist{_roots(content)}")
    try:
        images = sorted(image for source in sources for image in find_images(source))
    except (OSError, ValueError) as error:
        raise _error(file, f"{split}: cannot be read: {error}") from None
    if not images:
        raise _error(
            file, f"{split}: no images in {', '.join(map(str, sources))}; known endings: {', '.join(sorted(IMAGES))}"
        )
    if missing := [image for image in images if not image.is_file()]:
        raise _error(file, f"{split}: {len(missing)} of {len(images)} images do not exist, the first is {missing[0]}")
    return images


def _keypoints(file: Path, content: Mapping[str, Any]) -> tuple[int, int] | None:
    shape = content.get("kpt_shape")
    if shape is None:
        return None
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(isinstance(n, int) for n in shape)
        or shape[1] not in (2, 3)
    ):
        raise _error(file, "kpt_shape: expected [number of keypoints, 2 or 3]")
    return shape[0], shape[1]


def _named(names: Mapping[int, str], counts: Counter[int]) -> dict[str, int]:
    named: Counter[str] = Counter(dict.fromkeys(names.values(), 0))
    for index, count in counts.items():
        named[names[index]] += count
    return dict(named)


def _first(file: Path, problems: Sequence[Problem]) -> Iterator[Problem]:
    yield from problems[:SHOWN_PROBLEMS]
    if len(problems) > SHOWN_PROBLEMS:
        yield Problem(str(file), None, None, f"{len(problems) - SHOWN_PROBLEMS} more of its labels are wrong")


def _classification(folder: Path) -> Dataset:
    """A folder for every class below `train` and `val`."""
    val = next((folder / name for name in ("val", "validation", "valid", "test") if (folder / name).is_dir()), None)
    if val is None:
        raise _error(folder, "expected a folder val beside train")
    names = dict(enumerate(sorted(child.name for child in (folder / "train").iterdir() if child.is_dir())))
    images = {split: _images(folder, split, [path]) for split, path in (("train", folder / "train"), ("val", val))}
    roots = {"train": (folder / "train").resolve(), "val": val.resolve()}
    counts = {split: dict.fromkeys(names.values(), 0) for split in images}
    for split, found in images.items():
        for image in found:
            label = image.resolve().relative_to(roots[split]).parts[0]
            counts[split][label] = counts[split].get(label, 0) + 1
    return Dataset(folder, names, images["train"], images["val"], counts["train"], counts["val"])

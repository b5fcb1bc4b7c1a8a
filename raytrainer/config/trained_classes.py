"""The classes that a training has: those of its dataset, less what its arguments leave out or make one of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raytrainer.config.dataset import Dataset
from raytrainer.config.problems import suggest

ITEM = "item"
"""What Ultralytics calls the one class of `single_cls` (`get_dataset` in engine/trainer.py)."""


def kept(names: Mapping[int, str], train: Mapping[str, Any]) -> list[str]:
    """Names of the classes whose instances `train.classes` leaves in; of all without it."""
    chosen = train.get("classes")
    indices = names if chosen is None else chosen if isinstance(chosen, list) else [chosen]
    return [names[index] for index in names if index in indices]


def as_trained(dataset: Dataset, train: Mapping[str, Any]) -> Dataset:
    """The dataset as a training with these arguments sees it (`update_labels` in data/base.py).

    A class that `classes` leaves out keeps its name and its place, and has no instance. Whole splits are counted, also
    where `fraction` takes a part of one.
    """
    left, counted = kept(dataset.names, train), (dataset.counts, dataset.val_counts)
    splits = [{name: count if name in left else 0 for name, count in split.items()} for split in counted]
    names = dataset.names
    if train.get("single_cls"):
        names, splits = {0: ITEM}, [{ITEM: sum(split.values())} for split in splits]
    return replace(dataset, names=names, counts=splits[0], val_counts=splits[1])


def alike(dataset: Dataset) -> str | None:
    """Why any power of the inverse frequency weighs every class the same; None if it does not, or nothing is known.

    Args:
        dataset: as the training sees it.
    """
    counts = {label: count for label, count in dataset.counts.items() if count}
    if len(dataset.names) == 1:
        return "there is only one class"
    if len(counts) == 1:
        return f"the training labels have only one class, {next(iter(counts))}"
    return "the training labels have as many of each class" if len({*counts.values()}) == 1 else None


def misnamed(label: str, dataset: Dataset, train: Mapping[str, Any]) -> str | None:
    """Why such a training has no class of this name, with the nearest that it has; None if it has one.

    Args:
        label: the name that is meant.
        dataset: as it was read.
        train: the training arguments.
    """
    if train.get("single_cls"):
        return None if label == ITEM else f"train.single_cls makes one class of all, '{ITEM}': there is no '{label}'"
    left = kept(dataset.names, train)
    if not dataset.names or label in left:
        return None
    if label in dataset.names.values():
        return f"train.classes leaves class '{label}' out{suggest(label, left)}"
    return f"the dataset has no class '{label}'{suggest(label, left)}"

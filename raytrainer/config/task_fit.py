"""Whether the dataset is one for the model's task, and whether the other weights that a training names are there."""

from __future__ import annotations

from collections.abc import Iterator

from raytrainer.config.dataset import Dataset
from raytrainer.config.model_file import ModelFacts, model_facts
from raytrainer.config.problems import Problem
from raytrainer.config.space import Space
from raytrainer.config.trained_classes import as_trained

WEIGHTS = ("pretrained", "distill_model")
"""Training arguments that name a checkpoint or a model YAML."""


def task_problems(space: Space, facts: ModelFacts, dataset: Dataset | None) -> Iterator[Problem]:
    """One problem for a dataset of another task than the model's, and for every weight file that is not there."""
    if dataset is not None and dataset.present and (why := _unfit(facts.task, dataset)):
        yield space.problem(("data",), why)
    yield from _classes(space, dataset)
    for key in WEIGHTS:
        name = space.train.get(key)
        if isinstance(name, str) and (why := model_facts(name).problem):
            yield space.problem(("train", key), why)


def _classes(space: Space, dataset: Dataset | None) -> Iterator[Problem]:
    """Indices of `train.classes` that the dataset does not have, or that leave a split without an instance."""
    given = space.train.get("classes")
    count = len(dataset.names) if dataset is not None else 0
    if dataset is None or not count or given is None:
        return
    unknown = [index for index in (given if isinstance(given, list) else [given]) if index >= count]
    for index in unknown:
        message = f"class index {index}, but the dataset has {count} classes, 0 to {count - 1}"
        yield space.problem(("train", "classes"), message)
    if dataset.present and not dataset.file.is_dir() and not unknown:
        left = as_trained(dataset, space.train)
        for split, counts in (("training", left.counts), ("validation", left.val_counts)):
            if not any(counts.values()):
                yield space.problem(("train", "classes"), f"leaves no instance in the {split} labels")


def _unfit(task: str | None, dataset: Dataset) -> str | None:
    """What keeps the dataset from being used for the task; None if nothing is known to."""
    folders = dataset.file.is_dir()
    if task == "classify":
        return None if folders else "the task classify needs a folder with train/<class>/ and val/<class>/"
    if folders and task is not None:
        return f"the task {task} needs a data.yaml with labels, not a folder for every class"
    if task == "pose" and not dataset.options.get("kpt_shape"):
        return "the task pose needs kpt_shape in the data.yaml, and labels with keypoints"
    if task in ("segment", "obb") and not dataset.polygons:
        outlines = "polygons" if task == "segment" else "the four corners of rotated boxes"
        return f"the task {task} needs labels that are {outlines}; those of the training images are boxes, or some are"
    return None

"""Goals and weights are held against the classes that the training has: `single_cls` and `classes` change them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from raytrainer.config.assemble import assemble, defaults
from raytrainer.config.check import check
from raytrainer.config.dataset import read_dataset
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.trained_classes import as_trained, kept
from raytrainer.trainer.run import train

from .conftest import LABELS, MakeDataset

SpaceFile = Callable[[str], Path]

SINGLE, TWO = "single_cls: true", "classes: [0, 2]"
ONE_OF_ALL = "train.single_cls makes one class of all, 'item': there is no 'cat'"
LEFT_OUT = "train.classes leaves class 'dog' out; known: cat, cow"
WEIGHTS = "class_weights: {{{}: 2}}"
OFFSETS = "class_weights: inverse_frequency, class_weight_offsets: {{{}: 1}}"


@pytest.mark.parametrize(
    ("train", "more", "told"),
    [
        ("", "subject_to: ['AP[cat] > 0.1']", []),
        ("", "subject_to: ['AP[item] > 0.1']", ["the dataset has no class 'item'; known: cat, dog, cow"]),
        (SINGLE, "subject_to: ['AP[item] > 0.1', 'min(AP) > 0.1']", []),
        (SINGLE, "subject_to: ['AP[cat] > 0.1']", [ONE_OF_ALL]),
        (SINGLE, "fitness: AP[cat]", [ONE_OF_ALL]),
        (SINGLE, "fitness: ['AP[item]', mAP50]", []),
        (SINGLE, f"trainer: {{{WEIGHTS.format('cat')}}}", [ONE_OF_ALL]),
        (SINGLE, "trainer: {class_weights: [1, 2, 3]}", ["has 3 weights, but train.single_cls makes one class: item"]),
        (SINGLE, f"trainer: {{{WEIGHTS.format('item')}}}", []),
        (f"{SINGLE}, classes: [1]", "fitness: AP[item]", []),
        (f"{SINGLE}, classes: [2]", "fitness: mAP50", ["leaves no instance in the validation labels"]),
        (TWO, "fitness: AP[cat]", []),
        (TWO, "fitness: AP[dog]", [LEFT_OUT]),
        (TWO, "fitness: AP[cta]", ["the dataset has no class 'cta', did you mean 'cat'?"]),
        (TWO, "fitness: AP[dgo]", ["the dataset has no class 'dgo'; known: cat, cow"]),
        (TWO, "fitness: AP[cow]", ["the validation labels have no instance of class 'cow'"]),
        ("classes: 0", "subject_to: ['recall[dog] > 0.1']", ["train.classes leaves class 'dog' out"]),
        (TWO, f"trainer: {{{WEIGHTS.format('dog')}}}", [LEFT_OUT]),
        (TWO, f"trainer: {{{OFFSETS.format('dog')}}}", [LEFT_OUT]),
        (TWO, "trainer: {class_weights: [1, 2, 3]}", []),
        ("classes: 2", "", ["leaves no instance in the validation labels"]),
        ("classes: [2, 4]", "", ["class index 4, but the dataset has 3 classes, 0 to 2"]),
    ],
)  # fmt: skip
def test_what_a_training_does_not_have_is_told(train: str, more: str, told: list[str], space_file: SpaceFile) -> None:
    text = f"model: yolo11n.pt\ndata: DATA\ntrain: {{optimizer: AdamW, {train}}}\n{more}\nspace: {{batch: [4, 8]}}\n"
    problems = [problem.message for problem in check(load_space(space_file(text)))]
    assert len(problems) == len(told)
    assert all(part in problem for part, problem in zip(told, problems, strict=True))


def test_classes_without_a_label_are_told(space_file: SpaceFile, make_dataset: MakeDataset) -> None:
    some = make_dataset("some", LABELS, "names: [cat, dog, cow, never]\n")
    text = f"model: yolo11n.pt\ndata: {some}\ntrain: {{classes: [3]}}\nspace: {{batch: [4, 8]}}\n"
    told = [str(problem) for problem in check(load_space(space_file(text)))]
    assert [line.partition(":3: ")[2] for line in told] == [
        f"train.classes: leaves no instance in the {split} labels" for split in ("training", "validation")
    ]


@pytest.mark.parametrize("name", ["class_weights.dog", "class_weight_offsets.dog"])
def test_a_searched_weight_of_a_class_that_is_left_out_is_told(name: str, space_file: SpaceFile) -> None:
    head = f"model: yolo11n.pt\ndata: DATA\ntrain: {{optimizer: AdamW, {TWO}}}\n"
    weighted = "trainer: {class_weights: inverse_frequency}\n" if "offsets" in name else ""
    space = load_space(space_file(f"{head}{weighted}space: {{{name}: {{low: 1, high: 2}}}}\n"))
    assert [(each.key, each.message) for each in check(space)] == [(f"space.{name}", LEFT_OUT)]


def test_counts_are_those_of_what_trains(data: Path) -> None:
    dataset = read_dataset(str(data))
    assert as_trained(dataset, {}) == dataset
    assert as_trained(dataset, {"classes": [2, 0]}).counts == {"cat": 3, "dog": 0, "cow": 1}
    single = as_trained(dataset, {"classes": [2, 0], "single_cls": True})
    assert (single.names, single.counts, single.val_counts) == ({0: "item"}, {"item": 4}, {"item": 1})
    assert kept(dataset.names, {"classes": 1}) == ["dog"]


@pytest.mark.parametrize(
    ("asked", "goal", "trains"),
    [(SINGLE, "AP[item]", True), (SINGLE, "AP[RBC]", False), ("classes: [0]", "AP[RBC]", True),
     ("classes: [0]", "AP[WBC]", False)],
)  # fmt: skip
def test_the_check_and_the_training_judge_alike(
    asked: str, goal: str, trains: bool, tmp_path: Path, bccd: Path, yolo_tiny: Path
) -> None:
    quick = "epochs: 1, optimizer: AdamW, imgsz: 64, workers: 0, amp: false, plots: false, device: cpu"
    file = tmp_path / "space.yaml"
    lines = [f"model: {yolo_tiny}", f"data: {bccd}", f"train: {{{quick}, {asked}}}", "space: {batch: [4, 8]}"]
    file.write_text("\n".join([*lines, f"subject_to: ['{goal} > 0.1']"]))
    space = load_space(file)
    assert (check(space) == []) is trains
    run = partial(train, assemble(space, defaults(space)), tmp_path / "run", threads=1, final_eval=False)
    if trains:
        assert goal in run().records[-1].metrics
    else:
        with pytest.raises(UserError, match="subject_to"):
            run()

"""Every mistake is told with its file, line and key, what was expected and the nearest name; and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raytrainer.config.check import check
from raytrainer.config.load import load_space
from raytrainer.config.problems import Problem, UserError

from .bad_forms import ADAM, FORM, HEAD, Bad, bad

MEANING = [
    bad("model that does not exist", HEAD.replace("yolo11n.pt", "yolo11nn.pt") + "space: {batch: [4, 8]}\n",
        "1: model: no such model: neither a file nor one that Ultralytics knows, did you mean 'yolo11n.pt'?"),
    bad("model YAML that does not exist", HEAD.replace("yolo11n.pt", "rtdter-l.yaml") + "space: {batch: [4, 8]}\n",
        "1: model: no such model YAML, did you mean 'rtdetr-l.yaml'?"),
    bad("model that is no checkpoint", HEAD.replace("yolo11n.pt", "DATA") + "space: {batch: [4, 8]}\n",
        "1: model: DATA is no model YAML: it has no lists backbone and head"),
    bad("open vocabulary", HEAD.replace("yolo11n.pt", "yolov8s-worldv2.pt") + "space: {batch: [4, 8]}\n",
        "1: model: is an open-vocabulary model (its head is WorldDetect), which is not served"),
    bad("task that is not served", HEAD.replace("yolo11n.pt", "yolo26n-depth.pt") + "space: {batch: [4, 8]}\n",
        "1: model: its task is depth; expected one of detect, segment, pose, obb, classify"),
    bad("dataset that does not exist", "model: yolo11n.pt\ndata: coco9.yaml\nspace: {batch: [4, 8]}\n",
        "2: data: no such dataset: neither a file nor one that Ultralytics knows, did you mean 'coco.yaml'?"),
    bad("nothing to search", HEAD, "space: is empty: there is nothing to search"),
    bad("unknown sampler", HEAD + "search: {sampler: cma}\nspace: {batch: [4, 8]}\n",
        "3: search.sampler: there is no sampler 'cma', did you mean 'cmaes'?"),
    bad("a gain that nobody expects", HEAD + "search: {sampler: tpe, min_gain: 0.01}\nspace: {batch: [4, 8]}\n",
        "3: search.min_gain: needs sampler: auto, whose model says what to expect; tpe has none that does"),
    bad("least epochs above all", HEAD + "train: {epochs: 5}\nsearch: {min_epochs: 6}\nspace: {batch: [4, 8]}\n",
        "4: search.min_epochs: expected at most train.epochs (5), got 6"),
    bad("a budget for no trial",
        HEAD + "train: {epochs: 5}\nsearch:\n  budget: {epochs: 4}\nspace: {batch: [4, 8]}\n",
        "5: search.budget.epochs: expected at least train.epochs (5), so that one trial can end, got 4"),
    bad("unfrozen after the end",
        HEAD + "train: {epochs: 5}\ntrainer: {freeze: 10, unfreeze_epoch: 5}\nspace: {batch: [4, 8]}\n",
        "4: trainer.unfreeze_epoch: expected less than train.epochs (5), so that something is left to train, got 5"),
    bad("unfrozen after the end, searched",
        HEAD + "train: {epochs: 5}\ntrainer: {freeze: 10}\nspace:\n  unfreeze_epoch: {low: 1, high: 9}\n",
        "6: space.unfreeze_epoch.high: expected less than train.epochs (5), so that something is left to train, got 9"),
    bad("unfrozen after the end, one choice",
        HEAD + "train: {epochs: 5}\ntrainer: {freeze: 10}\nspace:\n  unfreeze_epoch: [1, 5]\n",
        "6: space.unfreeze_epoch.choices.1: expected less than train.epochs (5), so that something is left to train, "
        "got 5"),
    bad("CPUs of a trial and of a rank",
        HEAD + "resources: {ranks: 2, cpus: 4,\n  cpus_per_rank: 1}\nspace: {batch: [4, 8]}\n",
        "4: resources.cpus_per_rank: gives the CPUs of a rank, but cpus: 4 those of the trial; give one of the two"),
    bad("GPUs of a trial and of a rank", HEAD + "resources: {gpus: 0, gpus_per_rank: 0.5}\nspace: {batch: [4, 8]}\n",
        "3: resources.gpus_per_rank: gives the GPUs of a rank, but gpus: 0 those of the trial; give one of the two"),
    bad("two GPUs for a rank", HEAD + "resources: {gpus_per_rank: 2}\nspace: {batch: [4, 8]}\n",
        "3: resources.gpus_per_rank: expected a number from 0 to 1 or null, got 2"),
    bad("no first layer to unfreeze", HEAD + "trainer: {freeze: 10, unfreeze_every: 2}\nspace: {batch: [4, 8]}\n",
        "3: trainer.unfreeze_every: needs unfreeze_epoch, the epoch at which the first layer is unfrozen"),
    bad("no first layer to unfreeze in some trials",
        HEAD + "trainer: {unfreeze_every: 2}\nspace:\n  freeze: [0, 10]\n"
        "  unfreeze_epoch: {low: 1, high: 3, when: {freeze: 10}}\n",
        "3: trainer.unfreeze_every: needs the condition of unfreeze_epoch, on freeze, too"),
    bad("first layer to unfreeze that may be null",
        HEAD + "trainer: {freeze: 10, unfreeze_every: 2}\nspace:\n  unfreeze_epoch: [null, 3]\n",
        "3: trainer.unfreeze_every: needs unfreeze_epoch, which can be null"),
    bad("the whole model frozen, searched", ADAM + "  freeze: {low: 0, high: 24}\n",
        "5: space.freeze.high: expected less than the 24 layers of the model, got 24"),
    bad("the whole model frozen", HEAD + "trainer: {freeze: 24}\nspace: {batch: [4, 8]}\n",
        "3: trainer.freeze: expected less than the 24 layers of the model, got 24"),
    bad("sizes between strides", ADAM + "  imgsz: {low: 320, high: 640}\n",
        "5: space.imgsz: sizes are rounded up to multiples of 32: give low and step as multiples of it"),
    bad("size between strides", ADAM + "  imgsz: [320, 400]\n", "5: space.imgsz.choices.1: 400 is no multiple of 32"),
    bad("unknown class weight", ADAM + "  class_weights.cart: {low: 1, high: 5}\n",
        "5: space.class_weights.cart: the dataset has no class 'cart', did you mean 'cat'?"),
    bad("unknown class weight, fixed", HEAD + "trainer:\n  class_weights:\n    dogg: 2\nspace: {batch: [4, 8]}\n",
        "5: trainer.class_weights.dogg: the dataset has no class 'dogg', did you mean 'dog'?"),
    bad("too few class weights", HEAD + "trainer: {class_weights: [1, 2]}\nspace: {batch: [4, 8]}\n",
        "3: trainer.class_weights: has 2 weights, but the dataset has 3 classes: cat, dog, cow"),
    bad("class index that the dataset does not have", HEAD + "train: {classes: [0, 3]}\nspace: {batch: [4, 8]}\n",
        "3: train.classes: class index 3, but the dataset has 3 classes, 0 to 2"),
    bad("fitness that is no number", HEAD + "fitness: AP[cat] / (1 - 1)\nspace: {batch: [4, 8]}\n",
        "3: fitness: 'AP[cat] / (1 - 1)' is never a number: it divides by 0"),
    bad("fitness without sense", HEAD + "fitness: mAP50 + + \nspace: {batch: [4, 8]}\n",
        "3: fitness: expected a metric, a number or '(', got the end (at character 10 of 'mAP50 + +')"),
    bad("fitness of an unknown metric", HEAD + "fitness: map50\nspace: {batch: [4, 8]}\n",
        "3: fitness: unknown metric 'map50', did you mean 'mAP50'? (at character 1 of 'map50')"),
    bad("fitness of an unknown class", HEAD + "fitness: AP[dgo]\nspace: {batch: [4, 8]}\n",
        "3: fitness: the dataset has no class 'dgo', did you mean 'dog'? (at character 1 of 'AP[dgo]')"),
    bad("fitness of a class without labels", HEAD + "fitness: mAP50 + AP[cow]\nspace: {batch: [4, 8]}\n",
        "3: fitness: the validation labels have no instance of class 'cow', so its metrics are never defined "
        "(at character 9 of 'mAP50 + AP[cow]')"),
    bad("fitness of another task", HEAD + "fitness: mAP50(M)\nspace: {batch: [4, 8]}\n",
        "3: fitness: the task detect has no metric 'mAP50(M)', did you mean 'mAP50'? (at character 1 of 'mAP50(M)')"),
    bad("fitness file that does not exist", HEAD + "fitness: FOLDER/mine.py:score\nspace: {batch: [4, 8]}\n",
        "3: fitness: FOLDER/mine.py cannot be read: No such file or directory (at character 1 of "
        "'FOLDER/mine.py:score')"),
]  # fmt: skip


def find_problems(file: Path, sets: tuple[str, ...] = ()) -> list[Problem]:
    try:
        return check(load_space(file, sets))
    except UserError as error:
        return error.problems


def _ids(case: Bad) -> str:
    return case.name


@pytest.mark.parametrize("case", [*FORM, *MEANING], ids=_ids)
def test_every_problem_is_told_and_no_other(case: Bad, space_file: Callable[[str], Path], data: Path) -> None:
    file = space_file(case.text)
    told = [str(problem) for problem in find_problems(file, case.sets)]
    here = {"DATA": str(data), "FOLDER": str(file.parent)}
    wanted = [f"{file}:{' ' * (not problem[0].isdigit())}{problem}" for problem in case.problems]
    for name, path in here.items():
        wanted = [problem.replace(name, path) for problem in wanted]
    assert told == wanted


@pytest.mark.parametrize(
    ("broken", "content", "told"),
    [
        ("labels/train/0.txt", "0 .5 .5 .1 .1\n3 .5 .5 .1 .1\n",
         "FOLDER/data/labels/train/0.txt:2: class index 3, but the dataset has 3 classes, 0 to 2"),
        ("labels/val/0.txt", "0 320 240 10 10\n",
         "FOLDER/data/labels/val/0.txt:1: expected coordinates from 0 to 1, as shares of the image, got 320"),
        ("data.yaml", "train: images/train\nnames: [cat]\n",
         "val: is missing; expected a folder of images, a list of folders, or a text file"),
        ("data.yaml", "train: images/train\nval: images/test\nnames: [cat]\n",
         "val: FOLDER/data/images/test does not exist"),
    ],
)  # fmt: skip
def test_an_unreadable_dataset_is_told_at_the_line_that_names_it(
    broken: str, content: str, told: str, space_file: Callable[[str], Path]
) -> None:
    file = space_file(HEAD + "fitness: AP[dog]\nspace: {class_weights.dog: {low: 1, high: 2}}\n")
    (file.parent / "data" / broken).write_text(content)
    problems = [str(problem) for problem in find_problems(file)]
    assert problems == [f"{file}:2: data: {told}".replace("FOLDER", str(file.parent))]


def test_problems_of_all_parts_are_told_at_once(space_file: Callable[[str], Path]) -> None:
    file = space_file(
        "model: yolo11nn.pt\ndata: coco9.yaml\nfitness: map50\ntrain: {epochs: 3}\nsearch: {min_epochs: 9}\n"
        "trainer: {unfreeze_every: 2}\nspace:\n  imgsz: [320, 330]\n"
    )
    assert [problem.line for problem in find_problems(file)] == [1, 2, 3, 5, 6, 8]

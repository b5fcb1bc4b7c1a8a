"""Every mistake is told with its file, line and key, what was expected and the nearest name; and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from raytrainer.config.check import check
from raytrainer.config.load import load_space
from raytrainer.config.problems import Problem, UserError

HEAD = "model: yolo11n.pt\ndata: DATA\n"
ADAM = HEAD + "train: {optimizer: AdamW, epochs: 20}\nspace:\n"
"""Four lines; parameters begin in the fifth."""
DETR = ADAM.replace("yolo11n.pt", "rtdetr-l.yaml")
CLASSIFIER = "model: yolo11n-cls.pt\ndata: imagenet10\ntrain: {optimizer: AdamW}\nspace:\n"
LR0 = "  lr0: {low: 1e-5, high: 1e-2, log: true}\n"


@dataclass(frozen=True)
class Bad:
    """A file, and every problem that it has, from the line on."""

    name: str
    text: str
    problems: tuple[str, ...]
    sets: tuple[str, ...] = ()


def bad(name: str, text: str, *problems: str, sets: tuple[str, ...] = ()) -> Bad:
    return Bad(name, text, problems, sets)


FORM = [
    bad("unknown key at the top", HEAD + "serach: {trials: 3}\nspace:\n" + LR0,
        "3: serach: unknown key, did you mean 'search'?"),
    bad("unknown training argument", HEAD + "train:\n  lr: 0.1\n", "4: train.lr: unknown key, did you mean 'lrf'?"),
    bad("unknown setting", HEAD + "trainer:\n  clip_grad: 0.1\n",
        "4: trainer.clip_grad: unknown key, did you mean 'clip_grad_norm'?"),
    bad("unknown key of search", HEAD + "search: {trial: 3}\n",
        "3: search.trial: unknown key, did you mean 'trials'?"),
    bad("unknown key of resources", HEAD + "resources: {gpu: 3}\n",
        "3: resources.gpu: unknown key, did you mean 'gpus'?"),
    bad("unknown key of a parameter", ADAM + "  lr0: {low: 1e-5, hihg: 1e-2}\n",
        "5: space.lr0.hihg: unknown key, did you mean 'high'?", "5: space.lr0.high: is missing"),
    bad("unknown parameter", ADAM + LR0 + "  momentun: {low: 0.1, high: 0.9}\n",
        "6: space.momentun: is nothing that can be searched, did you mean 'momentum'?"),
    bad("argument at the top", HEAD + "epochs: 3\n", "3: epochs: unknown key; it belongs under train:"),
    bad("setting under train", HEAD + "train: {backbone_lr_ratio: 0.1}\n",
        "3: train.backbone_lr_ratio: unknown key; it belongs under trainer:"),
    bad("argument under trainer", HEAD + "trainer: {lr0: 0.1}\n",
        "3: trainer.lr0: unknown key; it belongs under train:"),
    bad("fitness under trainer", HEAD + "trainer: {fitness: mAP50}\n",
        "3: trainer.fitness: stands at the top of the file, not under trainer:"),
    bad("model under train", HEAD + "train: {model: a.pt}\n",
        "3: train.model: stands at the top of the file, not under train:"),
    bad("training by time", HEAD + "train: {time: 3}\n",
        "3: train.time: replaces epochs, so trials could not be compared; search.time_budget bounds the search"),
    bad("no validation", HEAD + "train: {val: false}\n",
        "3: train.val: must be true: the search needs every epoch's metrics"),
    bad("GPU by number", HEAD + "train: {device: 0}\n", "3: train.device: expected 'cpu', 'mps' or null, got 0"),
    bad("text for a number", HEAD + "train: {lr0: small}\n",
        "3: train.lr0: expected a number from 0 to 1, got 'small'"),
    bad("no is text in YAML 1.2", HEAD + "train: {cos_lr: no}\n", "3: train.cos_lr: expected true or false, got 'no'"),
    bad("fraction above 1", HEAD + "train: {mosaic: 1.5}\n", "3: train.mosaic: expected a number from 0 to 1, got 1.5"),
    bad("part of an epoch", HEAD + "train: {epochs: 1.5}\n",
        "3: train.epochs: expected an integer of at least 1, got 1.5"),
    bad("unknown optimizer", HEAD + "train: {optimizer: AdamWW}\n",
        "3: train.optimizer: expected 'SGD', 'MuSGD', 'Adam', 'Adamax', 'AdamW', 'NAdam', 'RAdam', 'RMSprop' or "
        "'auto', got 'AdamWW', did you mean 'AdamW'?"),
    bad("batch of zero", HEAD + "train: {batch: 0}\n",
        "3: train.batch: expected an integer of at least 1, -1 or a number above 0 up to 1, got 0"),
    bad("negative setting", HEAD + "trainer: {clip_grad_norm: -1}\n",
        "3: trainer.clip_grad_norm: expected a number of at least 0 or null, got -1"),
    bad("weight of zero", HEAD + "trainer:\n  class_weights: {cat: 0}\n",
        "4: trainer.class_weights: expected 'inverse_frequency', a list of (a number above 0), a mapping of names to "
        '(a number above 0) or null, got {"cat": 0}'),
    bad("no trials", HEAD + "search:\n  trials: 0\n", "4: search.trials: expected an integer of at least 1, got 0"),
    bad("true is no number", HEAD + "search: {seed: true}\n",
        "3: search.seed: expected an integer of at least 0, got true"),
    bad("unknown pruner", HEAD + "search: {pruner: ahsa}\n",
        "3: search.pruner: expected 'asha', 'asha-promote', 'median', 'hyperband' or 'none', got 'ahsa', did you mean "
        "'asha'?"),
    bad("GPUs in words", HEAD + "resources: {gpus: all}\n",
        "3: resources.gpus: expected a number of at least 0 or 'auto', got 'all'"),
    bad("keep", HEAD + "keep: top-0\n", "3: keep: expected best, all, or top- and a number, got 'top-0'"),
    bad("name with a slash", HEAD + "name: a/b\n",
        "3: name: expected a name of letters, digits, '.', '_' and '-', got 'a/b'"),
    bad("section that is a list", HEAD + "train: [1, 2]\n", "3: train: expected a mapping of keys to values"),
    bad("low above high", ADAM + "  lr0: {low: 0.1, high: 0.01}\n",
        "5: space.lr0.low: expected less than high (0.01), got 0.1"),
    bad("low equals high", ADAM + "  lr0:\n    low: 0.1\n    high: 0.1\n",
        "6: space.lr0.low: expected less than high (0.1), got 0.1"),
    bad("logarithm of zero", ADAM + "  weight_decay: {low: 0, high: 0.01, log: true}\n",
        "5: space.weight_decay.low: expected a number above 0 for a logarithmic range, got 0"),
    bad("step that does not fit", ADAM + "  mosaic:\n    {low: 0, high: 1, step: 0.3}\n",
        "6: space.mosaic.step: steps of 0.3 from 0 end at 0.9 and do not reach high (1)"),
    bad("step with log", ADAM + "  lr0: {low: 1e-3, high: 1e-2, log: true, step: 1e-3}\n",
        "5: space.lr0.step: expected no step with log: a logarithmic range has no even steps"),
    bad("default outside", ADAM + "  lr0:\n    low: 1e-5\n    high: 1e-2\n    default: 0.1\n",
        "8: space.lr0.default: expected a number from 1e-05 to 0.01, got 0.1"),
    bad("default between steps", ADAM + "  imgsz: {low: 320, high: 640, step: 64, default: 400}\n",
        "5: space.imgsz.default: expected a step of 64 from 320, got 400"),
    bad("default that is no choice", ADAM + "  optimizer: {choices: [SGD, AdamW], default: Adam}\n",
        "5: space.optimizer.default: expected one of 'SGD', 'AdamW', got 'Adam'",
        "5: space.optimizer: is both searched and fixed (train.optimizer, line 3); --set space.optimizer=null would "
        "fix it"),
    bad("no choices", ADAM + "  batch: []\n",
        "5: space.batch.choices: expected a list of at least two choices, got []"),
    bad("one choice", ADAM + "  batch: [8]\n",
        "5: space.batch.choices: expected at least two choices, got 1: a fixed value stands under train: or trainer:"),
    bad("choice listed twice", ADAM + "  batch: [8, 16, 8]\n", "5: space.batch.choices: 8 is listed twice"),
    bad("choice of a wrong type", ADAM + "  batch:\n    - 8\n    - large\n",
        "7: space.batch.choices.1: expected an integer of at least 1, -1 or a number above 0 up to 1, got 'large'"),
    bad("choice that is a list", ADAM + "  freeze: [0, [1, 2]]\n",
        "5: space.freeze.choices.1: expected a single value as a choice, got [1, 2]"),
    bad("range of a switch", ADAM + "  cos_lr: {low: 0, high: 1}\n",
        "5: space.cos_lr: expected a list of choices, since its values are true or false"),
    bad("integers stay integers", ADAM + "  close_mosaic: {low: 0.5, high: 10}\n",
        "5: space.close_mosaic.low: expected an integer of at least 0, got 0.5"),
    bad("infinite bound", ADAM + "  box: {low: 1, high: .inf}\n",
        "5: space.box.high: expected a number of at least 0, got Infinity"),
    bad("parameter that is a value", ADAM + "  lr0: 0.01\n",
        "5: space.lr0: expected a range {low: ..., high: ...}, a list of choices, or {choices: [...], default: ...}, "
        "got 0.01; a fixed value stands under train: or trainer:"),
    bad("fixed and searched", HEAD + "train:\n  optimizer: SGD\n  lr0: 0.01\nspace:\n" + LR0,
        "7: space.lr0: is both searched and fixed (train.lr0, line 5); --set space.lr0=null would fix it"),
    bad("class weight fixed and searched",
        HEAD + "trainer:\n  class_weights:\n    cat: 2\nspace:\n  class_weights.cat: {low: 1, high: 3}\n",
        "7: space.class_weights.cat: is both searched and fixed (trainer.class_weights.cat, line 5); "
        "--set space.class_weights.cat=null would fix it"),
    bad("class weight beside all of them",
        HEAD + "trainer: {class_weights: inverse_frequency}\nspace:\n  class_weights.cat: {low: 1, high: 3}\n",
        "5: space.class_weights.cat: weights of single classes cannot be searched beside class_weights itself"),
    bad("fixed twice", HEAD + "train: {freeze: 3}\ntrainer: {freeze: 4}\nspace: {batch: [4, 8]}\n",
        "4: trainer.freeze: is given twice, here and under train:; keep this one"),
    bad("epochs searched", HEAD + "space:\n  epochs: [10, 20]\n",
        "4: space.epochs: cannot be searched: it decides how long a trial trains, so trials could not be compared"),
    bad("seed searched", HEAD + "space:\n  seed: [0, 1]\n",
        "4: space.seed: cannot be searched: a lucky seed is no setting; search.seed and train.seed fix it"),
    bad("model searched", HEAD + "space:\n  model: [yolo11n.pt, yolo11s.pt]\n",
        "4: space.model: cannot be searched: it stands at the top of the file, not under train:"),
    bad("prediction searched", HEAD + "space:\n  show_labels: [true, false]\n",
        "4: space.show_labels: cannot be searched: it concerns visualize, not training"),
    bad("condition on nothing", ADAM + "  mixup: {low: 0, high: 0.5, when: {mosiac: 1}}\n  mosaic: [0, 1]\n",
        "5: space.mixup.when.mosiac: is not searched, did you mean 'mosaic'?"),
    bad("condition on a fixed value", ADAM + "  momentum: {low: 0.8, high: 0.9, when: {optimizer: SGD}}\n",
        "5: space.momentum.when.optimizer: is fixed to 'AdamW', so the condition always holds or never does; it must "
        "be searched"),
    bad("condition that never holds", ADAM + "  mixup: {low: 0, high: 0.5, when: {mosaic: 0.5}}\n  mosaic: [0, 1]\n",
        "5: space.mixup.when.mosaic: never takes the value 0.5; known: 0, 1"),
    bad("condition on a continuous range",
        ADAM + "  mixup: {low: 0, high: 0.5, when: {mosaic: 1}}\n  mosaic: {low: 0, high: 1}\n",
        "5: space.mixup.when.mosaic: is a range of numbers; a condition needs choices or integers"),
    bad("circle of conditions",
        ADAM + "  mixup: {choices: [0, 1], when: {mosaic: 1}}\n  mosaic: {choices: [0, 1], when: {mixup: 1}}\n",
        "5: space.mixup.when.mosaic: goes round in a circle: mixup needs mosaic needs mixup"),
    bad("conditions that exclude each other",
        HEAD + "space:\n  optimizer: [SGD, AdamW]\n"
        "  freeze: {choices: [0, 10], when: {optimizer: SGD}}\n"
        "  unfreeze_epoch: {low: 1, high: 3, when: {freeze: 10, optimizer: AdamW}}\n",
        "6: space.unfreeze_epoch.when.optimizer: is never active: what it depends on needs other values of the same "
        "parameter"),
    bad("no model", "data: DATA\nspace:\n" + LR0, "model: is missing: write it in the file or give --model"),
    bad("duplicate key", ADAM + LR0 + LR0, "6: space.lr0: duplicate key, first given in line 5"),
    bad("tag of its own", HEAD + "train: !!python/object:os.system {}\n",
        "3: train: the tag !!python/object:os.system is not allowed"),
    bad("no YAML", HEAD + "train: [1, 2\n", "4: not valid YAML: while parsing a flow sequence expected ',' or ']', "
        "but got '<stream end>'"),
    bad("a list", "- 1\n- 2\n", "1: expected a mapping of keys to values, got a list"),
]  # fmt: skip

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
    bad("least epochs above all", HEAD + "train: {epochs: 5}\nsearch: {min_epochs: 6}\nspace: {batch: [4, 8]}\n",
        "4: search.min_epochs: expected at most train.epochs (5), got 6"),
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

"""Files whose form is wrong, each with everything that is to be told of it."""

from __future__ import annotations

from dataclasses import dataclass

from raytrainer.config.values import show

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
    bad("unknown training argument", HEAD + "train:\n  lr: 0.1\n", "4: train.lr: unknown key, did you mean 'lr0'?"),
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
        "3: train.time: replaces epochs, so trials could not be compared; search.budget.wall bounds the search"),
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
    bad("no trials", HEAD + "search:\n  trials: 0\n",
        "4: search.trials: expected an integer of at least 1 or null, got 0"),
    bad("no mapping of bounds", HEAD + "search: {budget: 200}\n",
        "3: search.budget: expected a mapping of epochs, gpu_hours, cpu_hours, wall or null, got 200"),
    bad("budgets of no known kind", HEAD + "search:\n  budget:\n    gpu_hour: 2\n    trials: 3\n    wall: 0\n",
        "5: search.budget.gpu_hour: unknown key, did you mean 'gpu_hours'?",
        "6: search.budget.trials: unknown key; it belongs under search:",
        "7: search.budget.wall: expected a number above 0 or null, got 0"),
    bad("a bound beside its section", HEAD + "search: {gpu_hours: 2}\n",
        "3: search.gpu_hours: unknown key; it belongs under search.budget:"),
    bad("true is no number", HEAD + "search: {seed: true}\n",
        "3: search.seed: expected an integer from 0 to 2147483647, got true"),
    bad("unknown pruner", HEAD + "search: {pruner: ahsa}\n",
        "3: search.pruner: expected 'asha', 'asha-promote', 'median', 'hyperband' or 'none', got 'ahsa', did you mean "
        "'asha'?"),
    bad("GPUs in words", HEAD + "resources: {gpus: all}\n",
        "3: resources.gpus: expected a number of at least 0 or 'auto', got 'all'"),
    bad("keep", HEAD + "keep: top-0\n", "3: keep: expected best, all, or top- and a number, got 'top-0'"),
    bad("name with a slash", HEAD + "name: a/b\n",
        "3: name: expected a name of at most 200 letters, digits, '.', '_' and '-', got 'a/b'"),
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
    bad("class weight beside auto", ADAM + "  class_weights.cat: {low: 1, high: 3}\n  class_weights: auto\n",
        "5: space.class_weights.cat: weights of single classes cannot be searched beside class_weights itself"),
    bad("nothing that is taken out of the search", ADAM + "  lr: null\n" + LR0,
        "5: space.lr: is nothing that can be searched, did you mean 'lr0'?"),
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
    bad("name that no file can have", HEAD + f"name: {'a' * 201}\nspace: {{batch: [4, 8]}}\n",
        "3: name: expected a name of at most 200 letters, digits, '.', '_' and '-', got " + show("a" * 201)),
    bad("key of other tools", HEAD + "parameters: {batch: [4, 8]}\nconstraints: []\nspace: {batch: [4, 8]}\n",
        "3: parameters: unknown key, did you mean 'space'?", "4: constraints: unknown key, did you mean 'subject_to'?"),
    bad("letter that looks like a digit", ADAM + "  lro: {low: 1e-5, high: 1e-2}\n",
        "5: space.lro: is nothing that can be searched, did you mean 'lr0'?"),
    bad("merge key", HEAD + "train: &a {epochs: 3}\nspace: {batch: [4, 8]}\nsearch: {<<: *a}\n",
        "5: search: merge keys (<<) do not exist here: write out what they would bring"),
    bad("condition on what is null", ADAM + "  freeze: [null, 10]\n"
        "  unfreeze_epoch: {low: 1, high: 3, when: {freeze: nul}}\n",
        "6: space.unfreeze_epoch.when.freeze: never takes the value 'nul', did you mean 'null'?"),
    bad("condition on itself", ADAM + "  mixup: {choices: [0, 1], when: {mixup: 1}}\n",
        "5: space.mixup.when.mixup: goes round in a circle: mixup needs mixup"),
    bad("number that no float holds", HEAD + f"search: {{trials: {'9' * 400}}}\nspace: {{batch: [4, 8]}}\n",
        f"3: search.trials: {show('9' * 400)} is no int"),
    bad("number in base 16 that no float holds", HEAD + f"name: 0x{'f' * 5000}\nspace: {{batch: [4, 8]}}\n",
        f"3: name: {show('0x' + 'f' * 5000)} is no int"),
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
    bad("number where a name stands", HEAD + "name: 5\n",
        "3: name: expected a name of at most 200 letters, digits, '.', '_' and '-', got 5; write '5' for the text"),
    bad("text where a number stands", HEAD + "train: {epochs: '3'}\n",
        "3: train.epochs: expected an integer of at least 1, got '3'; write 3 without quotes for the number"),
    bad("seed that NumPy does not take", HEAD + "train: {seed: 4294967296}\n",
        "3: train.seed: expected an integer from 0 to 2147483647, got 4294967296"),
    bad("a number of thousands of digits", HEAD + f"train: {{epochs: {'9' * 5000}}}\n",
        f"3: train.epochs: '{'9' * 56}... is no int"),
    bad("key with a line break", HEAD + 'space: {"lr0\\n": [1, 2]}\n',
        "3: 'space.lr0\\n': is nothing that can be searched, did you mean 'lr0'?"),
    bad("space that is a list", HEAD + "space: [lr0]\n", "3: space: expected a mapping of keys to values"),
    bad("class of an index that is no number", HEAD + "train: {classes: [cat]}\n",
        "3: train.classes: expected an integer of at least 0, a list of (an integer of at least 0) or null, got "
        '["cat"]'),
    bad("a list", "- 1\n- 2\n", "1: expected a mapping of keys to values, got a list"),
]  # fmt: skip

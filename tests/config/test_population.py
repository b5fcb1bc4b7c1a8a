"""What a population may be asked for, and what is told of everything else before the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raytrainer.config import population
from raytrainer.config.load import load_space
from raytrainer.config.mutable import is_mutable
from raytrainer.config.population import boundaries
from raytrainer.config.space import Search, Space

from .bad_forms import HEAD, Bad, bad
from .test_bad_files import find_problems

TRAIN = HEAD + "train: {optimizer: AdamW, epochs: 20}\n"
LR0 = "space:\n  lr0: {low: 1e-5, high: 1e-2, log: true}\n"
FIXED = "fix it, or search it without a schedule"

WRONG = [
    bad("unknown schedule", TRAIN + "search: {schedule: ptb}\n" + LR0,
        "4: search.schedule: expected 'pbt', 'pb2' or null, got 'ptb', did you mean 'pbt'?"),
    bad("unknown key", TRAIN + "search: {schedule: pbt, perturb_interval: 2}\n" + LR0,
        "4: search.perturb_interval: unknown key, did you mean 'perturbation_interval'?"),
    bad("more than half", TRAIN + "search: {schedule: pbt, quantile_fraction: 0.6}\n" + LR0,
        "4: search.quantile_fraction: expected a number above 0 up to 0.5, got 0.6"),
    bad("pruner", TRAIN + "search:\n  schedule: pbt\n  pruner: asha\n" + LR0,
        "6: search.pruner: must be none: nobody is stopped in a population, which replaces the worst by the best "
        "(search.schedule: pbt)"),
    bad("all at once", TRAIN + "search:\n  schedule: pbt\n  min_epochs: 2\n  budget: {epochs: 90}\n  sampler: tpe\n"
        "  trials: 1\n  reduction_factor: 4\n" + LR0,
        "6: search.min_epochs: is for a pruner, and there is none in a population (search.schedule: pbt)",
        "7: search.budget: cannot bound a population, which takes search.trials times train.epochs epochs "
        "(search.schedule: pbt)",
        "8: search.sampler: expected auto or random: the first values of a population are drawn at random "
        "(search.schedule: pbt)",
        "9: search.trials: expected at least 2 trials, which are the population (search.schedule: pbt)",
        "10: search.reduction_factor: is for a pruner, and there is none in a population (search.schedule: pbt)"),
    bad("constraints", HEAD + "subject_to: [mAP50 > 0.1]\ntrain: {optimizer: AdamW, epochs: 20}\n"
        "search: {schedule: pbt, min_gain: 0.1}\n" + LR0,
        "3: subject_to: no constraints can be kept in a population, whose trials are compared by their fitness alone "
        "(search.schedule: pbt)",
        "5: search.min_gain: is for a study that goes on from trial to trial; a population begins all of its trials "
        "(search.schedule: pbt)"),
    bad("without a schedule", TRAIN + "search:\n  perturbation_interval: 2\n  quantile_fraction: 0.5\n" + LR0,
        "5: search.perturbation_interval: is for search.schedule, which is not set: pbt or pb2",
        "6: search.quantile_fraction: is for search.schedule, which is not set: pbt or pb2"),
    bad("no change before the end", TRAIN + "search:\n  schedule: pbt\n  perturbation_interval: 20\n" + LR0,
        "6: search.perturbation_interval: no values would change: there is no multiple of 20 after the warm-up and "
        "before the last of 20 epochs"),
    bad("only in the warm-up", HEAD + "train: {optimizer: AdamW, epochs: 4}\nsearch: {schedule: pbt}\n" + LR0,
        "4: search.perturbation_interval: no values would change: there is no multiple of 1 after the warm-up and "
        "before the last of 4 epochs"),
    bad("no checkpoint there", TRAIN + "trainer: {checkpoint_every: 4}\nsearch: {schedule: pbt}\n" + LR0,
        "4: trainer.checkpoint_every: expected a divisor of search.perturbation_interval (2): a trial goes on from the "
        "checkpoint of another at that epoch, got 4"),
    bad("checkpoints by the clock", TRAIN + "trainer: {checkpoint_every: 5min}\nsearch: {schedule: pbt}\n" + LR0,
        "4: trainer.checkpoint_every: expected a divisor of search.perturbation_interval (2): a trial goes on from the "
        "checkpoint of another at that epoch, got 5min"),
    bad("patience", HEAD + "train: {optimizer: AdamW, epochs: 20, patience: 19}\nsearch: {schedule: pbt}\n" + LR0,
        "3: train.patience: expected 0, or at least the 20 epochs of a trial: nobody stops before the others in a "
        "population, got 19"),
    bad("patience of the default", HEAD + "train: {optimizer: AdamW, epochs: 101}\nsearch: {schedule: pb2}\n" + LR0,
        "3: train.patience: expected 0, or at least the 101 epochs of a trial: nobody stops before the others in a "
        "population, got 100, the default"),
    bad("what cannot change", TRAIN + "search: {schedule: pbt}\n" + LR0 + "  batch: [4, 8]\n  freeze: [0, backbone]\n"
        "  imgsz: {low: 320, high: 640, step: 32}\n",
        *(f"{line}: space.{name}: cannot change while a trial trains, as everything does under search.schedule: pbt; "
          f"{FIXED}" for line, name in ((7, "batch"), (8, "freeze"), (9, "imgsz")))),
    bad("a condition", TRAIN + "search: {schedule: pbt}\n" + LR0 + "  cls: [0.5, 1.0]\n"
        "  mosaic: {low: 0, high: 1, when: {cls: 1.0}}\n",
        "8: space.mosaic: has a condition, and search.schedule: pbt changes each value by itself"),
    bad("choices for PB2", TRAIN + "search: {schedule: pb2}\n" + LR0 + "  cls: [0.5, 1.0]\n",
        "7: space.cls: is a list of choices; search.schedule: pb2 takes ranges of numbers only, pbt takes both"),
    bad("PB2 draws nothing anew", TRAIN + "search: {schedule: pb2, resample_probability: 0.5}\n" + LR0,
        "4: search.resample_probability: is for schedule: pbt; pb2 draws nothing anew"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_every_problem_is_told_and_no_other(case: Bad, space_file: Callable[[str], Path]) -> None:
    file = space_file(case.text)
    assert [str(problem) for problem in find_problems(file)] == [f"{file}:{problem}" for problem in case.problems]


def test_a_population_that_is_right(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(TRAIN + "search: {schedule: pbt, trials: 8}\n" + LR0 + "  class_weights.RBC: {low: 1, high: 5}\n")
    space = load_space(file)
    assert space.search.pruner == "none"
    assert boundaries(space) == [4, 6, 8, 10, 12, 14, 16, 18], "the warm-up takes three epochs"
    assert list(population.population_problems(space)) == []
    assert load_space(_written(space, tmp_path)).search == space.search


@pytest.mark.parametrize(
    "train", [{"epochs": 20, "patience": 20}, {"epochs": 300, "patience": 0}, {"epochs": 100}, {}], ids=str
)
def test_patience_that_lasts_is_right(train: dict[str, int]) -> None:
    space = Space(model="m.yaml", data="d.yaml", train=train, search=Search(schedule="pbt"))
    assert list(population.population_problems(space)) == []


def _written(space: Space, folder: Path) -> Path:
    (folder / "again.yaml").write_text(space.to_yaml())
    return folder / "again.yaml"


@pytest.mark.parametrize(
    ("train", "trainer", "interval", "expected"),
    [
        ({"epochs": 10, "warmup_epochs": 0}, {}, None, list(range(1, 10))),
        ({"epochs": 10, "warmup_epochs": 2.5}, {}, 2, [4, 6, 8]),
        ({"epochs": 10, "warmup_epochs": 0}, {"freeze": 3, "unfreeze_epoch": 5}, 3, [6, 9]),
        ({"epochs": 40, "warmup_epochs": 0}, {}, None, list(range(4, 40, 4))),
        ({"epochs": 1, "warmup_epochs": 0}, {}, None, []),
    ],
)
def test_when_values_change(
    train: dict[str, float], trainer: dict[str, int], interval: int | None, expected: list[int]
) -> None:
    search = Search(schedule="pbt", perturbation_interval=interval)
    assert boundaries(Space(model="m.yaml", data="d.yaml", train=train, trainer=trainer, search=search)) == expected
    assert boundaries(Space(model="m.yaml", data="d.yaml", train=train)) == []


def test_pb2_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(TRAIN + "search: {schedule: pb2}\n" + LR0)
    assert list(population.population_problems(load_space(file))) == []
    monkeypatch.setattr(population, "find_spec", lambda _: None)
    (problem,) = population.population_problems(load_space(file))
    assert str(problem).endswith("pb2 needs scikit-learn: pip install 'raytrainer[pb2]'; pbt does not")


@pytest.mark.parametrize(
    ("name", "mutable"),
    [
        ("lr0", True),
        ("class_weights.Platelets", True),
        ("class_weight_offsets.Platelets", True),
        ("backbone_lr_ratio", True),
        ("warmup_epochs", False),
        ("close_mosaic", False),
        ("optimizer", False),
        ("nbs", False),
        ("sync_bn", False),
    ],
)
def test_what_may_change(name: str, mutable: bool) -> None:
    assert is_mutable(name) is mutable

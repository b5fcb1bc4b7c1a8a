"""`class_weights: auto` searches what can have an effect and nobody else decides, and says what it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raytrainer.config.assemble import assemble, defaults
from raytrainer.config.check import check
from raytrainer.config.filling import fill_in
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.config.space import Space

from .conftest import MakeDataset

Weighted = Callable[..., tuple[Space, list[str]]]

BOX = ".5 .5 .1 .1\n"
COUNTS = (20, 2, 3, 0)
"""Instances of cat, dog, cow and `never` in the training labels."""
EVEN, ALONE, ONLY = (
    f"adds nothing to the search: {why}"
    for why in (
        "the training labels have as many of each class",
        "there is only one class",
        "the training labels have only one class, cat",
    )
)
POWER = "searches class_weights_power, float, 0 to 1; default 0"
DOG, COW = (f"searches class_weight_offsets.{label}, float, -0.69 to 0.69; default 0" for label in ("dog", "cow"))
ZERO = "fixes class_weights_power at 0"
TAKEN = "adds nothing to the search: what it would add is given, or taken out"


@pytest.fixture
def weighted(tmp_path: Path, make_dataset: MakeDataset) -> Weighted:
    """A space with `class_weights: auto`, filled in for classes of so many instances, and what was told of it."""

    def fill(
        more: str = "", *, counts: tuple[int, ...] = COUNTS, sets: tuple[str, ...] = ()
    ) -> tuple[Space, list[str]]:
        labels = "".join(f"{index} {BOX}" * count for index, count in enumerate(counts))
        names = (
            ["cat", "dog", "cow", "never"][: len(counts)] if len(counts) < 5 else [f"c{n}" for n in range(len(counts))]
        )
        data = make_dataset("weighted", {"train": [labels], "val": [labels]}, f"names: {names}\n")
        file = tmp_path / "space.yaml"
        file.write_text(f"model: yolo11n.pt\ndata: {data}\n{more}\nspace:\n  box: [7.5, 5]\n  class_weights: auto\n")
        told: list[str] = []
        return fill_in(load_space(file, sets), told.append), [
            line.removeprefix("class_weights: auto ") for line in told
        ]

    return fill


@pytest.mark.parametrize(
    ("more", "sets", "told"),
    [
        ("", (), [POWER, DOG, COW]),
        ("trainer: {positives_only: true}", (), [POWER, DOG, COW]),
        ("trainer: {class_weight_offsets: {cow: 0.4}}", (), [POWER, DOG]),
        ("trainer: {class_weight_offsets: {dog: 0.1, cow: 0.4}}", (), [POWER]),
        ("trainer: {class_weights_power: 0.5}", (), [DOG, COW]),
        ("trainer: {class_weights_power: 0.5, class_weight_offsets: {dog: 1, cow: 1}}", (), [TAKEN]),
        ("", ("space.class_weights_power={low: 0.5, high: 2}",), [DOG, COW]),
        ("", ("space.class_weight_offsets.cow={low: 0, high: 1}",), [POWER, DOG]),
        ("", ("space.class_weights_power=null",), [DOG, COW, ZERO]),
        ("", ("space.class_weight_offsets.dog=null",), [POWER, COW]),
        ("", ("space.class_weights_power=null", "trainer.class_weights_power=0.5"), [DOG, COW]),
        ("", ("space.class_weights=null",), []),
        ("train: {classes: [0, 2]}", (), [POWER, COW]),
        ("train: {classes: [1, 2]}", (), [POWER]),
        ("train: {classes: 0}", (), [ONLY]),
        ("train: {classes: [0, 3]}", (), [ONLY]),
        ("train: {single_cls: true}", (), [ALONE]),
        ("train: {single_cls: true, classes: [0, 1]}", (), [ALONE]),
    ],
)
def test_what_is_fixed_given_or_taken_out_is_not_searched_by_it(
    more: str, sets: tuple[str, ...], told: list[str], weighted: Weighted
) -> None:
    space, said = weighted(more, sets=sets)
    assert said == told
    assert check(space) == []
    own = {text.removeprefix("space.").partition("=")[0] for text in sets if "{" in text}
    added = {line.split(",")[0].removeprefix("searches ") for line in told if line.startswith("searches")}
    assert space.space.keys() == {"box"} | own | added
    weighs = assemble(space, defaults(space)).settings.class_weights
    assert weighs == (None if told in ([], [ONLY], [ALONE]) else "inverse_frequency")


def test_what_is_given_is_kept(weighted: Weighted) -> None:
    ranges = ("space.class_weights_power={low: 0.5, high: 2}", "space.class_weight_offsets.cow={low: 0, high: 1}")
    space, _ = weighted("trainer: {class_weight_offsets: {dog: 0.4}}", sets=ranges)
    assert [space.space[name].to_plain() for name in ("class_weights_power", "class_weight_offsets.cow")] == [
        {"low": 0.5, "high": 2.0, "default": 1.25}, {"low": 0.0, "high": 1.0, "default": 0.5}
    ]  # fmt: skip
    assert assemble(space, defaults(space)).settings.class_weight_offsets == {"dog": 0.4, "cow": 0.5}


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (("space.class_weight_offsets.Cow=null",), ["the dataset has no class 'Cow', did you mean 'cow'?"]),
        (("space.class_weight_offsets.cow=null", "train.single_cls=true"), []),
    ],
)
def test_what_is_taken_out_is_of_a_class(sets: tuple[str, ...], told: list[str], weighted: Weighted) -> None:
    assert [problem.message for problem in check(weighted(sets=sets)[0])] == told


@pytest.mark.parametrize(
    ("counts", "told"),
    [((5, 5), [EVEN]), ((5, 5, 0), [EVEN]), ((5, 0, 0), [ONLY]), ((5,), [ALONE]), ((5, 4), [POWER])],
)
def test_equal_weights_are_not_searched(counts: tuple[int, ...], told: list[str], weighted: Weighted) -> None:
    space, said = weighted(counts=counts)
    assert said == told
    assert check(space) == []
    weighs = assemble(space, defaults(space)).settings.class_weights
    assert weighs == ("inverse_frequency" if told == [POWER] else None)


def test_offsets_of_ones_own_count_from_equal_weights(weighted: Weighted) -> None:
    space, said = weighted("trainer: {class_weight_offsets: {dog: 1}}", counts=(5, 5))
    assert said == [EVEN, ZERO]
    assert check(space) == []
    asked = Settings(class_weights="inverse_frequency", class_weights_power=0.0, class_weight_offsets={"dog": 1.0})
    assert assemble(space, defaults(space)).settings.difference(asked).keys() <= {"fitness", "on_nan"}


def test_weights_by_name_do_not_go_with_it(weighted: Weighted) -> None:
    with pytest.raises(UserError, match="weights of single classes cannot be searched beside"):
        weighted(sets=("space.class_weights.cow={low: 1, high: 3}",))


def test_a_classifier_has_none(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            (tmp_path / "data" / split / name / "0.jpg").touch()
    file = tmp_path / "space.yaml"
    file.write_text(f"model: yolo11n-cls.pt\ndata: {tmp_path / 'data'}\nspace: {{class_weights: auto}}\n")
    with pytest.raises(
        UserError, match=r"3: space\.class_weights: has no effect: a classifier's loss has no class weights"
    ):
        fill_in(load_space(file))


def test_many_classes_are_few_dimensions_and_weigh_the_same_by_default(weighted: Weighted) -> None:
    space, _ = weighted(counts=tuple(1 if index in (7, 40) else 20 for index in range(80)))
    assert list(space.space) == ["box", "class_weights_power", "class_weight_offsets.c7", "class_weight_offsets.c40"]
    settings = assemble(space, defaults(space)).settings
    assert (settings.class_weights, settings.class_weights_power) == ("inverse_frequency", 0.0)
    assert settings.class_weight_offsets == {"c7": 0.0, "c40": 0.0}


def test_three_classes_are_called_rare_at_most(weighted: Weighted) -> None:
    space, _ = weighted(counts=(50, 50, 5, 4, 3, 2))
    assert [name for name in space.space if "offsets" in name] == [f"class_weight_offsets.c{n}" for n in (5, 4, 3)]

"""The demo's images are for ever the same, hold what their labels say, and give a base model that learns at once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from raytrainer.config.dataset import read_dataset
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space
from raytrainer.demo import base_checkpoint, base_model, dataset, digits, materialise
from raytrainer.demo.canvas import SIDE, crop, enlarge, overlaps, place, scene
from raytrainer.demo.dataset import BASE, DEMO, Recipe, digest

recipes = pytest.mark.parametrize("recipe", [DEMO, BASE], ids=lambda recipe: recipe.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that both sets have been made in."""
    made = tmp_path_factory.mktemp("demo")
    for recipe in (DEMO, BASE):
        digits(made, recipe)
    return made


@recipes
def test_pixels_and_labels_are_those_of_the_first_day(folder: Path, recipe: Recipe) -> None:
    assert digest(digits(folder, recipe).parent) == recipe.digest


def test_the_digest_sees_one_pixel_and_one_label(tmp_path: Path) -> None:
    data = digits(tmp_path)
    label = data.parent / "labels" / "val" / "0000.txt"
    row = label.read_text()
    label.write_text(row.replace("0", "1", 1))
    assert digest(data.parent) != DEMO.digest
    label.write_text(row)
    assert digest(data.parent) == DEMO.digest
    picture = data.parent / "images" / "train" / "0000.bmp"
    pixels = np.array(Image.open(picture))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(picture)
    assert digest(data.parent) != DEMO.digest


@recipes
def test_the_set_reads_as_a_yolo_set(folder: Path, recipe: Recipe) -> None:
    found = read_dataset(str(digits(folder, recipe)))
    assert list(found.names.values()) == list(recipe.classes)
    assert (len(found.train), len(found.val)) == (recipe.train, recipe.val)


def test_classes_are_imbalanced_and_all_are_in_both_splits(folder: Path) -> None:
    root = digits(folder).parent
    for split in ("train", "val"):
        rows = [row for path in (root / "labels" / split).glob("*.txt") for row in path.read_text().splitlines()]
        counts = Counter(row.split()[0] for row in rows)
        assert counts["0"] > 1.5 * counts["1"] > 2 * counts["2"] > 0


@recipes
def test_boxes_lie_in_the_image_and_touch_no_other(folder: Path, recipe: Recipe) -> None:
    for path in (digits(folder, recipe).parent / "labels").rglob("*.txt"):
        boxes = []
        for row in path.read_text().splitlines():
            x, y, width, height = (float(number) * SIDE for number in row.split()[1:])
            box = (round(x - width / 2), round(y - height / 2), round(x + width / 2), round(y + height / 2))
            assert 0 <= box[0] < box[2] <= SIDE
            assert 0 <= box[1] < box[3] <= SIDE
            assert not overlaps(box, boxes)
            boxes.append(box)
        assert boxes


def test_a_box_holds_the_digit_and_nothing_else_changes() -> None:
    ink = np.zeros((1, 8, 8), dtype=np.int64)
    ink[0, 1:7, 3:5] = 16
    bare, _ = scene({0: ink}, [], np.random.RandomState(5))
    image, [(label, (left, top, right, bottom))] = scene({0: ink}, [0], np.random.RandomState(5))
    changed = (image != bare).any(axis=2)
    assert label == 0
    assert changed[top:bottom, left:right].any(axis=1).all()
    assert changed[top:bottom, left:right].any(axis=0).all()
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_a_sample_is_in_one_split_only() -> None:
    train, val = dataset._samples(DEMO)
    for index in range(len(DEMO.classes)):
        seen = {sample.tobytes() for sample in train[index]}
        assert seen
        assert not seen & {sample.tobytes() for sample in val[index]}


def test_the_base_model_sees_no_digit_of_the_demo() -> None:
    assert not set(BASE.classes.values()) & set(DEMO.classes.values())


@pytest.mark.parametrize(
    ("grid", "side", "expected"),
    [
        ([[0, 10], [20, 30]], 2, [[0, 10], [20, 30]]),
        ([[0, 10], [20, 30]], 3, [[0, 5, 10], [10, 15, 20], [20, 25, 30]]),
        ([[7, 7], [7, 7]], 4, [[7] * 4] * 4),
    ],
)
def test_enlarging_is_bilinear(grid: list[list[int]], side: int, expected: list[list[int]]) -> None:
    assert enlarge(np.array(grid, dtype=np.int64), side).tolist() == expected


def test_a_full_canvas_has_no_place_left() -> None:
    assert place((8, 8), [(0, 0, SIDE, SIDE)], np.random.RandomState(0)) is None


def test_cropping_leaves_no_blank_margin() -> None:
    ink = np.zeros((8, 8), dtype=np.int64)
    ink[2:5, 3] = 9
    ink[0, 0] = 3
    assert crop(ink).tolist() == [[9], [9], [9]]


def test_a_set_that_is_there_is_not_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any) -> NDArray[np.int64]:
        raise AssertionError("drawn again")

    monkeypatch.setattr(dataset, "scene", forbidden)
    assert digits(folder).exists()


def test_another_set_of_digits_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    other = Recipe("few", {"nil": 0}, (1,), train=2, val=1, seed=0, digest="0" * 64)
    with pytest.raises(ValueError, match="the set few has the digest"):
        digits(tmp_path, other)
    assert list(tmp_path.iterdir()) == []


def test_without_scikit_learn_the_user_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(UserError, match=re.escape("pip install 'raytrainer[demo]'")):
        digits(tmp_path)


@pytest.fixture
def quick_pretraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretraining of one epoch, in the place of the real one."""
    quick = tmp_path / "quick.yaml"
    quick.write_text(base_model.PRETRAINING.read_text().replace("epochs: 14", "epochs: 1"))
    monkeypatch.setattr(base_model, "PRETRAINING", quick)


@pytest.mark.usefixtures("quick_pretraining")
def test_the_base_model_is_trained_once_and_loads_in_stock_ultralytics(folder: Path) -> None:
    from ultralytics import YOLO

    said: list[str] = []
    checkpoint = base_checkpoint(folder, said.append)
    written = checkpoint.stat().st_mtime_ns
    assert base_checkpoint(folder, said.append) == checkpoint
    assert checkpoint.stat().st_mtime_ns == written
    assert len(said) == 1
    assert list(YOLO(checkpoint).names.values()) == list(BASE.classes)
    assert [path.name for path in folder.glob("pretraining-*")] == []


def test_another_recipe_is_another_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = base_model._recipe()
    changed = tmp_path / "pretraining.yaml"
    changed.write_text(base_model.PRETRAINING.read_text().replace("seed: 0", "seed: 1"))
    monkeypatch.setattr(base_model, "PRETRAINING", changed)
    assert base_model._recipe() != before


def test_a_failed_training_names_its_log_and_leaves_no_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("epochs: many\n")
    monkeypatch.setattr(base_model, "PRETRAINING", broken)
    with pytest.raises(RuntimeError, match=r"failed, see .*pretraining\.log"):
        base_checkpoint(folder, lambda _: None)
    assert "many" in (folder / "pretraining.log").read_text()
    assert not (folder / f"digits-base-{base_model._recipe()}.pt").exists()


@pytest.mark.usefixtures("quick_pretraining")
def test_builtin_names_become_paths_and_others_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYTRAINER_DEMO", str(folder))
    made = materialise(Space(model="builtin:digits-base", data="builtin:digits"), announce=lambda _: None)
    assert made.model == str(base_checkpoint(folder))
    assert made.data == str(digits(folder))
    mixed = Space(model="yolov8n.yaml", data="builtin:digits", name="mine")
    assert materialise(mixed) == mixed.model_copy(update={"data": str(digits(folder))})
    own = Space(model="yolov8n.yaml", data="cells.yaml")
    assert materialise(own) is own

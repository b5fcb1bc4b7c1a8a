"""Datasets as Ultralytics resolves them, and everything that makes one unreadable."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from raytrainer.config.dataset import fingerprint, read_dataset
from raytrainer.config.problems import UserError

MakeDataset = Callable[..., Path]
BOX = "0 .5 .5 .1 .1\n"
NAMES = "names: [cat, dog]\n"


def test_blood_cells(bccd: Path) -> None:
    dataset = read_dataset(str(bccd))
    assert dataset.file == bccd
    assert dataset.names == {0: "RBC", 1: "WBC", 2: "Platelets"}
    assert (len(dataset.train), len(dataset.val)) == (12, 6)
    rows = [
        line.split()[0]
        for file in (bccd.parent / "labels" / "train").glob("*.txt")
        for line in file.open()
        if line.strip()
    ]
    assert dataset.counts == {name: rows.count(str(index)) for index, name in dataset.names.items()}
    assert min(dataset.val_counts.values()) > 0
    assert not dataset.polygons


def test_the_whole_of_the_blood_cells_has_the_counts_that_it_says() -> None:
    data = Path(__file__).resolve().parents[3] / "shared" / "data" / "bccd" / "data.yaml"
    if not data.is_file():
        pytest.skip("the blood-cell images are not at ../shared/data/bccd")
    dataset = read_dataset(str(data))
    assert dataset.counts == {"RBC": 2381, "WBC": 214, "Platelets": 209}
    assert dataset.val_counts == {"RBC": 967, "WBC": 87, "Platelets": 83}


def test_counts_and_names(data: Path) -> None:
    dataset = read_dataset(str(data))
    assert dataset.counts == {"cat": 3, "dog": 1, "cow": 1}
    assert dataset.val_counts == {"cat": 1, "dog": 1, "cow": 0}
    assert read_dataset(str(data.parent)) == dataset, "a folder is its only YAML"


@pytest.mark.parametrize(
    "names",
    [
        "names: {0: cat, 1: dog}\n",
        "names: {1: dog, 0: cat}\n",
        "nc: 2\nnames: [cat, dog]\n",
        "names: {'0': cat, '1': dog}\n",
    ],
)
def test_names_are_a_list_or_a_mapping(names: str, make_dataset: MakeDataset) -> None:
    data = make_dataset("named", {"train": [BOX], "val": [BOX]}, names)
    assert read_dataset(str(data)).names == {0: "cat", 1: "dog"}


def test_without_names_the_classes_are_numbered(make_dataset: MakeDataset) -> None:
    data = make_dataset("numbered", {"train": [BOX], "val": [BOX]}, "nc: 2\n")
    assert read_dataset(str(data)).names == {0: "class_0", 1: "class_1"}


def test_splits_are_folders_lists_or_text_files(make_dataset: MakeDataset) -> None:
    data = make_dataset("splits", {"train": [BOX, BOX, BOX], "val": [BOX]}, NAMES)
    images = sorted((data.parent / "images" / "train").iterdir())
    expected = read_dataset(str(data))
    data.write_text(f"train: [images/train, images/val]\nval: images/val\n{NAMES}")
    assert len(read_dataset(str(data)).train) == 4
    (data.parent / "train.txt").write_text(f"\ufeff./images/train/0.jpg\n{images[1]}\n{images[2]}\n", encoding="utf-8")
    data.write_text(f"train: train.txt\nval: images/val\n{NAMES}")
    assert read_dataset(str(data)).train == expected.train
    assert read_dataset(str(data)).counts == expected.counts
    data.write_text(f"path: {data.parent}\ntrain: ../images/train\nvalidation: images/val\n{NAMES}")
    assert read_dataset(str(data)).train == expected.train


def test_a_relative_path_is_looked_up_in_the_folder_of_datasets(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset("elsewhere/mine", {"train": [BOX], "val": [BOX]}, NAMES)
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(data.parent)
    (tmp_path / "Ultralytics").mkdir()
    (tmp_path / "Ultralytics" / "settings.json").write_text(json.dumps({"datasets_dir": str(tmp_path / "elsewhere")}))
    data.write_text(f"path: mine\ntrain: images/train\nval: images/val\n{NAMES}")
    assert len(read_dataset(str(data)).train) == 1
    (tmp_path / "Ultralytics" / "settings.json").write_text("{")
    with pytest.raises(UserError, match="does not exist"):
        read_dataset(str(data))


@pytest.mark.parametrize("name", ["coco8.yaml", "coco8"])
def test_a_dataset_that_ultralytics_would_download_has_its_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    dataset = read_dataset(name)
    assert not dataset.present
    assert (dataset.names[0], len(dataset.names), dataset.counts) == ("person", 80, {})
    assert read_dataset("mnist", classify=True).present is False


@pytest.mark.parametrize(
    ("download", "refused"),
    [
        ("https://host/cells.zip", False),
        ("http://host/cells.tar.gz?token=a", False),
        ("import os; os.mkdir('made')", True),
        ("bash mkdir made", True),
        ("https://host/cells.py", True),
        ('"https://host/cells.zip\\nimport os"', True),
        ("[https://host/cells.zip]", True),
    ],
)
def test_code_that_would_get_the_images_is_not_run(download: str, refused: bool, make_dataset: MakeDataset) -> None:
    """Ultralytics runs it as soon as it is given the file."""
    data = make_dataset("scripted", {"train": [BOX], "val": [BOX]}, NAMES)
    text = f"train: images/train\nval: images/nowhere\n{NAMES}download: {download}\n"
    data.write_text(text)
    if refused:
        with pytest.raises(UserError, match="nowhere does not exist, and download: would run code to get it"):
            read_dataset(str(data))
    else:
        assert not read_dataset(str(data)).present
    data.write_text(text.replace("nowhere", "val"))
    assert read_dataset(str(data)).present, "nothing is missing"


def test_pipes_and_endless_files_do_not_hold_anything_up(make_dataset: MakeDataset) -> None:
    data = make_dataset("odd", {"train": [BOX, BOX], "val": [BOX]}, NAMES)
    label = data.parent / "labels" / "train" / "1.txt"
    label.unlink()
    os.mkfifo(label)
    assert read_dataset(str(data)).counts == {"cat": 1, "dog": 0}
    label.unlink()
    with label.open("wb") as file:
        file.truncate(20_000_001)
    with pytest.raises(UserError, match=r"labels/train/1\.txt: is over 20 MB"):
        read_dataset(str(data))
    os.mkfifo(data.parent / "list.txt")
    data.write_text(f"train: list.txt\nval: images/val\n{NAMES}")
    with pytest.raises(UserError, match=r"train: cannot be read: .*neither a folder nor a file"):
        read_dataset(str(data))


def test_classification_has_a_folder_for_every_class(tmp_path: Path) -> None:
    for place in ("train/cat", "train/dog", "train/cow", "val/cat"):
        (tmp_path / "pets" / place).mkdir(parents=True)
        (tmp_path / "pets" / place / "1.png").write_bytes(b"")
    (tmp_path / "pets" / "train" / "cow" / "1.png").unlink()
    dataset = read_dataset(str(tmp_path / "pets"), classify=True)
    assert dataset.names == {0: "cat", 1: "cow", 2: "dog"}
    assert dataset.counts == {"cat": 1, "cow": 0, "dog": 1}
    assert dataset.val_counts == {"cat": 1, "cow": 0, "dog": 0}


BAD_LABELS = [
    ("0 .5 .5 .1\n", "labels/train/0.txt:1: expected 5 numbers for a box or an odd number of at least 7 for a polygon, "
     "got 4"),
    ("0 .5 .5 .1 .1 .1\n", "labels/train/0.txt:1: expected 5 numbers for a box"),
    (f"{BOX}0 .5 1.5 .1 .1\n", "labels/train/0.txt:2: expected coordinates from 0 to 1, as shares of the image, got "
     "1.5"),
    ("0 320 240 30 30\n", "labels/train/0.txt:1: expected coordinates from 0 to 1, as shares of the image, got 320"),
    ("0 -.2 .5 .1 .1\n", "labels/train/0.txt:1: expected coordinates from 0 to 1"),
    ("0 nan .5 .1 .1\n", "labels/train/0.txt:1: expected coordinates from 0 to 1"),
    ("2 .5 .5 .1 .1\n", "labels/train/0.txt:1: class index 2, but the dataset has 2 classes, 0 to 1"),
    ("-1 .5 .5 .1 .1\n", "labels/train/0.txt:1: expected a class index of 0 or more, got -1"),
    ("0.5 .5 .5 .1 .1\n", "labels/train/0.txt:1: expected a class index of 0 or more, got 0.5"),
    ("cat .5 .5 .1 .1\n", "labels/train/0.txt:1: expected numbers, got 'cat .5 .5 .1 .1'"),
    (f"{BOX}0 .1 .1 .2 .1 .2 .2\n", "labels/train/0.txt: mixes rows of boxes and rows of polygons"),
    ("", "the training images have no labels; the first was looked for at"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "message"), BAD_LABELS)
def test_a_bad_label_is_told_with_its_file_and_line(label: str, message: str, make_dataset: MakeDataset) -> None:
    with pytest.raises(UserError) as error:
        read_dataset(str(make_dataset("bad", {"train": [label], "val": [BOX]}, NAMES)))
    assert len(error.value.problems) == 1
    assert message in str(error.value)


@pytest.mark.parametrize(
    "label", ["0 1.005 .5 .1 .1\n", "\n\n0 .5 .5 .1 .1\n", "1 .1 .1 .2 .1 .2 .2\n", "0 -.005 .5 .1 .1\n"]
)
def test_labels_that_ultralytics_takes_are_taken(label: str, make_dataset: MakeDataset) -> None:
    data = make_dataset("good", {"train": [label, ""], "val": [label]}, NAMES)
    (data.parent / "labels" / "train" / "1.txt").unlink()
    assert sum(read_dataset(str(data)).counts.values()) == 1


def test_many_bad_labels_are_counted_not_listed(make_dataset: MakeDataset) -> None:
    with pytest.raises(UserError) as error:
        read_dataset(str(make_dataset("bad", {"train": ["7 .5 .5 .1 .1\n" * 20], "val": [BOX]}, NAMES)))
    assert len(error.value.problems) == 6
    assert error.value.problems[-1].message == "15 more of its labels are wrong"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/train\n", "names: expected a list of class names"),
        (f"train: images/train\n{NAMES}", "val: is missing"),
        (f"train: images/nowhere\nval: images/val\n{NAMES}", "images/nowhere does not exist"),
        (f"train: labels/train\nval: images/val\n{NAMES}", "train: no images in"),
        (f"train: lost.txt\nval: images/val\n{NAMES}", "train: 1 of 1 images do not exist"),
        ("train: images/train\nval: images/val\nnames: {0: a, 2: b}\n", "names: expected the indices 0 to 1, got 0, 2"),
        ("train: images/train\nval: images/val\nnames: {a: b}\n", "names: expected integers as indices"),
        ("train: images/train\nval: images/val\nnames: []\n", "names: expected a list of class names"),
        ("train: images/train\nval: images/val\nnc: 3\nnames: [a, b]\n", "nc: 3, but names has 2"),
        (f"train: images/train\nval: images/val\n{NAMES}kpt_shape: [17]\n", "kpt_shape: expected [number of keypoints"),
        ("- 1\n", "expected a mapping with train, val and names"),
        ("a: [1\n", "cannot be read: while parsing a flow sequence"),
        (f"train: {{a: 1}}\nval: images/val\n{NAMES}", "train: is missing; expected a folder of images"),
    ],
)  # fmt: skip
def test_a_dataset_that_cannot_be_used_is_told(text: str, message: str, make_dataset: MakeDataset) -> None:
    data = make_dataset("broken", {"train": [BOX], "val": [BOX]}, NAMES)
    (data.parent / "lost.txt").write_text("./images/train/99.jpg\n")
    data.write_text(text)
    with pytest.raises(UserError) as error:
        read_dataset(str(data))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.yaml", "no such dataset"),
        ("coco88.yaml", "did you mean 'coco8.yaml'?"),
        ("x" * 5000, "no such dataset"),
        ("\0", "no such dataset"),
        ("empty", "no data.yaml in this folder"),
        ("data.zip", "not an archive"),
    ],
)
def test_a_dataset_that_is_not_there(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("data.zip").write_bytes(b"")
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        read_dataset(name)


def test_the_fingerprint_follows_the_content_not_the_place(data: Path, tmp_path: Path) -> None:
    before = fingerprint(read_dataset(str(data)))
    copied = tmp_path / "a copy"
    shutil.copytree(data.parent, copied)
    assert fingerprint(read_dataset(str(copied / "data.yaml"))) == before
    label = copied / "labels" / "val" / "0.txt"
    label.write_text(label.read_text() + BOX)
    changed = fingerprint(read_dataset(str(copied / "data.yaml")))
    assert changed != before
    (copied / "images" / "val" / "0.jpg").write_bytes(b"other")
    assert fingerprint(read_dataset(str(copied / "data.yaml"))) not in (before, changed)
    os.rename(copied / "images" / "train" / "0.jpg", copied / "images" / "train" / "9.jpg")
    assert fingerprint(read_dataset(str(copied / "data.yaml"))) not in (before, changed)


def test_keypoints_are_read_with_their_shape(make_dataset: MakeDataset) -> None:
    head = f"{NAMES}kpt_shape: [2, 3]\nflip_idx: [1, 0]\n"
    pose = "0 .5 .5 .1 .1 .5 .5 2 .6 .6 0\n"
    dataset = read_dataset(str(make_dataset("pose", {"train": [pose, BOX], "val": [pose]}, head)))
    assert dataset.counts["cat"] == 2
    assert not dataset.polygons
    with pytest.raises(UserError, match="expected 11 numbers for kpt_shape, got 8"):
        read_dataset(str(make_dataset("short", {"train": ["0 .5 .5 .1 .1 .5 .5 2\n"], "val": [pose]}, head)))

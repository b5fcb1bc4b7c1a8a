"""A dataset of another task than the model's is told before anything runs, and so are weights that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.config.check import check
from raytrainer.config.load import load_space

from .conftest import MakeDataset

CORNERS = "0 .1 .1 .2 .1 .2 .2 .1 .2\n"
BOX = "0 .5 .5 .1 .1\n"
KEYPOINTS = "0 .5 .5 .1 .1 .5 .5 2\n"
NEEDS = {
    "pose": "the task pose needs kpt_shape in the data.yaml, and labels with keypoints",
    "segment": "the task segment needs labels that are polygons; those of the training images are boxes, or some are",
    "obb": "the task obb needs labels that are the four corners of rotated boxes; those of the training images are "
    "boxes, or some are",
    "classify": "the task classify needs a folder with train/<class>/ and val/<class>/",
}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A dataset for a classifier."""
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        (tmp_path / "folders" / name).mkdir(parents=True)
        (tmp_path / "folders" / name / "1.jpg").touch()
    return tmp_path / "folders"


@pytest.mark.parametrize(
    ("model", "labels", "head", "needs"),
    [
        ("yolo11n.yaml", BOX, "", None),
        ("yolo11n.yaml", CORNERS, "", None),
        ("yolo11n.yaml", KEYPOINTS, "kpt_shape: [1, 3]\n", None),
        ("rtdetr-l.yaml", CORNERS, "", None),
        ("yolo11n-seg.yaml", CORNERS, "", None),
        ("yolo11n-obb.yaml", CORNERS, "", None),
        ("yolo11n-pose.yaml", KEYPOINTS, "kpt_shape: [1, 3]\n", None),
        ("yolo11n-seg.yaml", BOX, "", "segment"),
        ("yolo11n-obb.yaml", BOX, "", "obb"),
        ("yolo11n-pose.yaml", BOX, "", "pose"),
        ("yolo11n-cls.yaml", BOX, "", "classify"),
    ],
)
def test_labels(
    model: str, labels: str, head: str, needs: str | None, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    data = make_dataset("d", {"train": [labels], "val": [labels]}, head + "names: [cat]\n")
    file = tmp_path / "space.yaml"
    file.write_text(f"model: {model}\ndata: {data}\nspace: {{batch: [4, 8]}}\n")
    told = [f"{file}:2: data: {NEEDS[needs]}"] if needs else []
    assert [str(problem) for problem in check(load_space(file))] == told


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("yolo11n-cls.yaml", []),
        ("yolo11n.yaml", ["the task detect needs a data.yaml with labels, not a folder for every class"]),
    ],
)
def test_folders(model: str, told: list[str], folders: Path, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(f"model: {model}\ndata: {folders}\nspace: {{batch: [4, 8]}}\n")
    assert [problem.message for problem in check(load_space(file))] == told


@pytest.mark.parametrize("key", ["pretrained", "distill_model"])
def test_other_weights(key: str, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(f"model: yolo11n.yaml\ndata: {data}\ntrain:\n  {key}: yolo11nn.pt\nspace: {{batch: [4, 8]}}\n")
    (problem,) = check(load_space(file))
    assert str(problem).startswith(f"{file}:4: train.{key}: no such model: ")
    assert str(problem).endswith(", did you mean 'yolo11n.pt'?")
    assert check(load_space(file, [f"train.{key}=yolo11n.pt"])) == []

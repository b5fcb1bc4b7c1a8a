"""A dataset without pictures: this room reads labels and file names, never an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("calm", deadline=None)  # other tests may share the machine
settings.load_profile("calm")

LABELS = {
    "train": ["0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n", "0 0.1 0.1 0.1 0.1\n0 0.2 0.2 0.1 0.1\n2 0.5 0.5 0.1 0.1\n"],
    "val": ["0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n"],
}


HEAD = "train: images/train\nval: images/val\n"

MakeDataset = Callable[..., Path]


def _make_dataset(folder: Path, labels: dict[str, list[str]], head: str) -> Path:
    for split, texts in labels.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for index, text in enumerate(texts):
            (folder / "images" / split / f"{index}.jpg").write_bytes(b"")
            (folder / "labels" / split / f"{index}.txt").write_text(text)
    data = folder / "data.yaml"
    data.write_text(HEAD + head)
    return data


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    """Writes a data.yaml, empty images and their labels by split; the path of the data.yaml."""

    def make(name: str, labels: dict[str, list[str]], head: str = "names: [cat, dog, cow]\n") -> Path:
        return _make_dataset(tmp_path / name, labels, head)

    return make


@pytest.fixture
def data(make_dataset: MakeDataset) -> Path:
    """data.yaml of three classes: 3 cats, 1 dog and 1 cow to train on, no cow to validate on."""
    return make_dataset("data", LABELS)


@pytest.fixture
def space_file(tmp_path: Path, data: Path) -> Callable[[str], Path]:
    """Writes `bad.yaml`, in which `DATA` stands for the dataset and `FOLDER` for the folder that both lie in."""

    def write(text: str) -> Path:
        file = tmp_path / "bad.yaml"
        file.write_text(text.replace("DATA", str(data)).replace("FOLDER", str(tmp_path)))
        return file

    return write

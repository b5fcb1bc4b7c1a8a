"""What every test may ask for: a few real images, a pretrained checkpoint, tiny models and quick training arguments."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared" / "data"
TRAIN_IMAGES, VAL_IMAGES = 12, 6


def _ultralytics_without_network() -> None:
    """Ultralytics reads these when it is first imported, so they are set before any test module is."""
    config = Path(tempfile.gettempdir()) / f"raytrainer-tests-{os.getuid()}"
    os.environ.setdefault("YOLO_CONFIG_DIR", str(config))
    os.environ.setdefault("YOLO_OFFLINE", "1")
    os.environ.setdefault("YOLO_AUTOINSTALL", "0")
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    font = Path(os.environ["YOLO_CONFIG_DIR"]) / "Ultralytics" / "Arial.ttf"
    if not font.exists():
        matplotlib = importlib.util.find_spec("matplotlib")
        fonts = Path(str(matplotlib and matplotlib.origin)).parent / "mpl-data" / "fonts" / "ttf"
        font.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(fonts / "DejaVuSans.ttf", font)


_ultralytics_without_network()
# Now: its logger keeps the standard output of that moment, and one test's is closed when the next one logs.
importlib.import_module("ultralytics.utils")


def _copy_split(split: str, count: int, target: Path) -> None:
    for folder, suffix in (("images", ".jpg"), ("labels", ".txt")):
        (target / folder / split).mkdir(parents=True)
        for source in sorted((SHARED / "bccd" / folder / split).glob(f"*{suffix}"))[:count]:
            shutil.copy(source, target / folder / split / source.name)


@pytest.fixture(scope="session")
def bccd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data.yaml of a scratch copy of 12 training and 6 validation images with 3 imbalanced classes of blood cells."""
    if not (SHARED / "bccd").is_dir():
        pytest.skip("the blood-cell images are not at ../shared/data/bccd")
    target = tmp_path_factory.mktemp("bccd")
    _copy_split("train", TRAIN_IMAGES, target)
    _copy_split("val", VAL_IMAGES, target)
    data = target / "data.yaml"
    data.write_text("train: images/train\nval: images/val\nnames: {0: RBC, 1: WBC, 2: Platelets}\n")
    return data


def _label(line: str, task: str) -> str:
    """A label line of detection made one of another task: the corners of its box, or its centre as a key point."""
    kind, x, y, w, h = line.split()
    left, right = float(x) - float(w) / 2, float(x) + float(w) / 2
    top, bottom = float(y) - float(h) / 2, float(y) + float(h) / 2
    if task == "pose":
        return f"{line.strip()} {x} {y} 2"
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return " ".join([kind, *(f"{value:.6f}" for corner in corners for value in corner)])


@pytest.fixture(scope="session")
def bccd_for(bccd: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """data.yaml of the same images with labels for `detect`, `segment`, `obb` or `pose` (one key point)."""
    made: dict[str, Path] = {"detect": bccd}

    def labelled(task: str) -> Path:
        if task not in made:
            target = tmp_path_factory.mktemp(f"bccd_{task}")
            shutil.copytree(bccd.parent / "images", target / "images")
            for labels in sorted((bccd.parent / "labels").glob("*/*.txt")):
                copy = target / "labels" / labels.parent.name / labels.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text("\n".join(_label(line, task) for line in labels.read_text().splitlines()))
            made[task] = target / "data.yaml"
            made[task].write_text(bccd.read_text() + ("kpt_shape: [1, 3]\n" if task == "pose" else ""))
        return made[task]

    return labelled


@pytest.fixture(scope="session")
def bccd_whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data.yaml of a scratch copy of all the blood-cell images: 205 for training, 87 for validation."""
    if not (SHARED / "bccd").is_dir():
        pytest.skip("the blood-cell images are not at ../shared/data/bccd")
    target = tmp_path_factory.mktemp("bccd-whole")
    _copy_split("train", 205, target)
    _copy_split("val", 87, target)
    data = target / "data.yaml"
    data.write_text("train: images/train\nval: images/val\nnames: {0: RBC, 1: WBC, 2: Platelets}\n")
    return data


@pytest.fixture(scope="session")
def pretrained() -> Path:
    """A checkpoint of `yolov5n.yaml` with a trained backbone and neck and a random head."""
    checkpoint = SHARED / "weights" / "yolov5n-pretrained.pt"
    if not checkpoint.is_file():
        pytest.skip("the pretrained checkpoint is not at ../shared/data/weights")
    return checkpoint


@pytest.fixture(scope="session")
def yolo_tiny() -> Path:
    """YAML of a small YOLO that trains an epoch on a CPU in a tenth of a second."""
    return Path(__file__).parent / "models" / "yolo-tiny.yaml"


@pytest.fixture(scope="session")
def rtdetr_tiny() -> Path:
    """YAML of a small RT-DETR with HGNetV2 layers that trains an epoch on a CPU in about a second."""
    return Path(__file__).parent / "models" / "rtdetr-tiny.yaml"


@pytest.fixture
def quick_args(bccd: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Ultralytics arguments of a short run: `quick_args("yolov8n.yaml", epochs=2)`; a new `name` is a new folder."""

    def arguments(model: str | Path, name: str = "run", **overrides: Any) -> dict[str, Any]:
        quick = {
            "model": str(model), "data": str(bccd), "imgsz": 64, "epochs": 1, "batch": 4, "nbs": 4, "device": "cpu",
            "optimizer": "SGD", "lr0": 0.01, "workers": 0, "amp": False, "plots": False, "verbose": False, "seed": 0,
            "pretrained": False, "project": str(tmp_path), "name": name, "exist_ok": True,
        }  # fmt: skip
        return quick | overrides

    return arguments

"""What a model's file or name tells without loading it."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from raytrainer.config.checkpoint_yaml import checkpoint_yaml
from raytrainer.config.model_file import ModelFacts, model_facts


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("yolo11n.pt", ("yolo", "detect", "Detect", 11, 24)),
        ("yolo26n", ("yolo", "detect", "Detect", 11, 24)),
        ("yolo26s-pose.pt", ("yolo", "pose", "Pose26", 11, 24)),
        ("yolov8m-seg.yaml", ("yolo", "segment", "Segment", 10, 23)),
        ("yolo11n-cls.pt", ("yolo", "classify", "Classify", 10, 11)),
        ("yolo11n-obb.yaml", ("yolo", "obb", "OBB", 11, 24)),
        ("yolov10b.pt", ("yolo", "detect", "v10Detect", 11, 24)),
        ("yolov5n.pt", ("yolo", "detect", "Detect", 10, 25)),
        ("yolov5n6.yaml", ("yolo", "detect", "Detect", 12, 34)),
        ("rtdetr-l.pt", ("rtdetr", "detect", "RTDETRDecoder", 10, 29)),
        ("rtdetr-resnet50.yaml", ("rtdetr", "detect", "RTDETRDecoder", 5, 24)),
        ("yolov8n-rtdetr.yaml", ("rtdetr", "detect", "RTDETRDecoder", 10, 23)),
        ("https://example.com/rtdetr-x.pt", ("rtdetr", "detect", "RTDETRDecoder", 14, 33)),
        ("https://example.com/mine.pt", (None, None, None, None, None)),
    ],
)
def test_names_that_ultralytics_knows(
    model: str, facts: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = model_facts(model)
    assert (found.family, found.task, found.head, found.backbone, found.layers) == facts
    assert found.problem is None


def test_a_yaml_is_read_for_what_it_holds(rtdetr_tiny: Path, tmp_path: Path) -> None:
    assert model_facts(str(rtdetr_tiny)) == ModelFacts("rtdetr", "detect", "RTDETRDecoder", 8, 16)
    disguised = tmp_path / "yolo11n.yaml"
    disguised.write_text(rtdetr_tiny.read_text())
    assert model_facts(str(disguised)).family == "rtdetr"


def test_a_checkpoint_is_read_without_being_loaded(pretrained: Path, tmp_path: Path) -> None:
    disguised = tmp_path / "rtdetr-l-seg.pt"
    disguised.write_bytes(pretrained.read_bytes())
    assert model_facts(str(disguised)) == ModelFacts("yolo", "detect", "Detect", 10, 25)


def archive(file: Path, structure: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("archive/data.pkl", structure)
    return file


class Payload:
    """A pickle that would write a file if it were loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.target), "w")


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    structure = pickle.dumps({"model": Payload(tmp_path / "ran"), "train_args": {"task": "detect"}})
    assert checkpoint_yaml(archive(tmp_path / "evil.pt", structure)) is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("structure", [b"", b"\x80\x02", b"garbage", pickle.dumps([1]), pickle.dumps({"model": 3})])
def test_a_checkpoint_that_says_nothing_is_unknown(structure: bytes, tmp_path: Path) -> None:
    assert model_facts(str(archive(tmp_path / "mine.pt", structure))) == ModelFacts()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.pt", b"no checkpoint", "is not a checkpoint of PyTorch"),
        ("a.pt", b"", "is not a checkpoint of PyTorch"),
        ("a.yaml", b"a: [1", "cannot be read: while parsing"),
        ("a.yaml", b"\xff\xfe", "cannot be read"),
        ("a.yaml", b"backbone: 3\nhead: []\n", "is no model YAML"),
        ("a.yaml", b"- 1\n", "is no model YAML"),
        ("a.yaml", b"backbone: []\nhead: []\n", "is no model YAML"),
        ("a.yaml", None, "no such model YAML"),
        ("yolo11m-sgg.pt", None, "did you mean 'yolo11m-seg.pt'?"),
        ("rtdetr_l.pt", None, "did you mean 'rtdetr-l.pt'?"),
        ("rtdetr-resnet-50.yaml", None, "did you mean 'rtdetr-resnet50.yaml'?"),
        ("yolo13n.yaml", None, "did you mean 'yolo1"),
        ("\0", None, "no such model"),
        ("x" * 5000 + ".pt", None, "no such model"),
    ],
)
def test_what_is_no_model_is_told(
    name: str, content: bytes | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    assert problem in (model_facts(name).problem or "")


def test_an_archive_without_a_model_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as opened:
        opened.writestr("readme.txt", "hello")
    assert "is not a checkpoint" in (model_facts(str(tmp_path / "m.pt")).problem or "")

"""Paths and values that only show to be wrong once they are used: each is told in a line, with exit status 2."""

from __future__ import annotations

import errno
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from raytrainer.cli import main
from raytrainer.commands import tune
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Float, Space
from raytrainer.search.study import Study


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """A study `runs/cells` of one trial, beside a file `file` and a folder `folder`; the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    space = Space(
        model="yolov8n.yaml",
        data="coco8.yaml",
        train={"epochs": 1},
        space={"lr0": Float(low=0.1, high=1.0)},
        name="cells",
    )
    with Study.open(Path("runs/cells"), space) as opened:
        opened.folder.space.write_text(space.to_yaml(), encoding="utf-8")
        assert opened.ask()
        opened.report(0, 1, 0.5)
        opened.finish(0, "complete")
    return opened.folder


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("report cells --to folder", "folder: cannot be written: Is a directory"),
        ("report cells --to file/report.md", "file: cannot be written: File exists"),
        ("export cells --to file", "file: cannot be written: File exists"),
        (f"export cells --to {'x' * 300}", f"{'x' * 300}: cannot be written: File name too long"),
        ("tune demo.yaml --extend --fresh", "--fresh: not allowed with argument --extend"),
        ("train {model} --storage file", "file/train/yolov8n: cannot be written: Not a directory"),
        ("train {model} --device banana", "--device: Invalid CUDA 'device=banana' requested; there is no such device"),
        ("train {model} --device 99", "--device: Invalid CUDA 'device=99' requested; there is no such device"),
        ("train runs/cells/space.yaml", "runs/cells/space.yaml: is no best.yaml; a space is searched with"),
        ("train {model} --threads 0", "argument --threads: invalid int value: '0'; expected 1 or more"),
        ("train {model} --threads -3", "argument --threads"),
        ("train {model} resources.ranks=2", "resources.ranks: resources: is for a search; a training outside one"),
        ("train {model} --set search.trials=3", "search.trials: search: is for a search; a training outside one"),
        ("train {model} space.lr0.low=0.1", "space.lr0.low: space: is for a search; a training outside one"),
    ],
)
@pytest.mark.usefixtures("study")
def test_what_cannot_be_used_is_told(line: str, message: str, bccd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = f"--model yolov8n.yaml --data {bccd} --epochs 1 imgsz=32"
    assert main(shlex.split(line.format(model=model))) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--freeze nolayer,5", "--freeze: trainer.freeze: the model has no layer or module 'nolayer'"),
        ("amp=bf16", "amp=bf16: train.amp: bfloat16 autocast requires CUDA"),
        ("fraction=0.001", "train: final batch=1 training at imgsz=32 gives BatchNorm a single value"),
        ("pretrained=gone.pt", "pretrained=gone.pt: train.pretrained: no such model"),
        ("--model bad.yaml", "--model: model: its layers cannot be built: KeyError: Foo"),
        ("--model tensors.pt", "--model: model: ERROR"),
        ("--data junk/data.yaml", "--data: data: no image can be read: No valid images found in"),
        ("--model yolov8n-seg.yaml", "--data: data: the task segment needs labels that are polygons"),
    ],
)
def test_what_keeps_a_training_from_beginning_is_told_before_it_has_a_folder(
    words: str, message: str, bccd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text("nc: 3\nbackbone:\n- [-1, 1, Foo, [16]]\nhead:\n- [[0], 1, Detect, [nc]]\n")
    shutil.copytree(bccd.parent, "junk", ignore=shutil.ignore_patterns("*.cache"))
    for image in Path("junk/images/train").iterdir():
        image.write_bytes(b"junk")
    torch.save({"model": torch.zeros(3)}, "tensors.pt")
    line = f"train --model yolov8n.yaml --data {bccd} --epochs 1 --device cpu imgsz=32 workers=0 {words}"
    assert main(shlex.split(line)) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not Path("runs").exists()


def test_a_storage_that_is_a_file_is_told(study: StudyFolder, bccd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"tune {study.space} --model yolov8n.yaml --data {bccd} --set train.optimizer=SGD --storage file"
    assert main(shlex.split(line)) == 2
    assert "file/cells: cannot be written: Not a directory" in capsys.readouterr().err


def test_any_other_error_of_the_system_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(tune, "run", fail)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main(["tune", "demo.yaml"])

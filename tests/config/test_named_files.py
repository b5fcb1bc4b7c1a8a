"""Whether two values mean the same file."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.config.named_files import same_file
from raytrainer.config.problems import KeyPath

MODEL, PRETRAINED, FITNESS = ("model",), ("train", "pretrained"), ("fitness",)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders `a`, `b` and `c` with files of the same names, those of `c` with other contents."""
    monkeypatch.chdir(tmp_path)
    for folder in "abc":
        (tmp_path / folder).mkdir()
        for name in ("m.yaml", "w.pt", "f.py"):
            (tmp_path / folder / name).write_text("another" if folder == "c" else "one")
    (tmp_path / "a" / "n.yaml").write_text("one")
    return tmp_path


@pytest.mark.parametrize(
    ("key", "one", "other", "same"),
    [
        (MODEL, "a/m.yaml", "b/m.yaml", True),
        (MODEL, "a/m.yaml", "c/m.yaml", False),
        (MODEL, "a/m.yaml", "a/n.yaml", False),
        (MODEL, "a/m.yaml", "gone/m.yaml", False),
        (MODEL, "old/study/files/model/m.yaml", "new/study/files/model/m.yaml", True),
        (MODEL, "old/m.yaml", "new/m.yaml", False),
        (MODEL, "yolo11n.yaml", "yolo11s.yaml", False),
        (PRETRAINED, "a/w.pt", "b/w.pt", True),
        (PRETRAINED, True, "a/w.pt", False),
        (FITNESS, "a/f.py:fit", "b/f.py:fit", True),
        (FITNESS, "a/f.py:fit", "b/f.py:other", False),
        (FITNESS, "a/f.py:fit", "c/f.py:fit", False),
        (FITNESS, "mAP50", "mAP50-95", False),
        (("data",), "a/m.yaml", "b/m.yaml", False),
    ],
)
@pytest.mark.usefixtures("files")
def test_same_file(key: KeyPath, one: object, other: object, same: bool) -> None:
    assert same_file(key, one, other) is same
    assert same_file(key, other, one) is same

"""What would have to be downloaded first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.at_hand import at_hand
from raytrainer.config.parameters import Float
from raytrainer.config.space import Space


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"model": "yolov8n-cls.yaml", "data": "mnist"}, False),
        ({"model": "mine.pt"}, True),
        ({"model": "rtdetr-l.pt"}, False),
        ({"model": "https://host/mine.pt"}, False),
        ({"data": "coco8.yaml"}, False),
        ({"data": "https://host/cells.zip"}, False),
        ({"train": {"pretrained": "yolo11n.pt"}}, False),
        ({"train": {"pretrained": True}}, True),
    ],
)
def test_at_hand(
    change: dict[str, Any], expected: bool, bccd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.pt").touch()
    asked: dict[str, Any] = {"model": "yolov8n.yaml", "data": str(bccd), "space": {"lr0": Float(low=0.1, high=1.0)}}
    assert at_hand(Space(**(asked | change))) is expected

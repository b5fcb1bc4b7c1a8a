"""Images that cannot be read are left out as Ultralytics leaves them out, counted and named."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from raytrainer.results.announcement import left_out
from raytrainer.trainer.probe import probe


def bomb() -> bytes:
    """A picture of 40,000 by 40,000 pixels, in a few bytes."""
    file = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(file, "png")
    return file.getvalue()


def test_corrupt_images(trial: Any, bccd: Path, tmp_path: Path) -> None:
    shutil.copytree(bccd.parent, tmp_path / "data", ignore=shutil.ignore_patterns("*.cache"))
    first, second, third, *_ = sorted((tmp_path / "data" / "images" / "train").iterdir())
    first.write_bytes(b"not a picture")
    second.write_bytes(second.read_bytes()[:200])
    third.write_bytes(bomb())
    for _ in range(2):  # the second time from the cache of the labels
        report = probe(trial(data=str(tmp_path / "data" / "data.yaml")), threads=1)
        assert report.left_out.keys() == {str(first), str(second), str(third)}
        assert report.train_images == 9
    (line,) = left_out(report.left_out)
    assert line.startswith(f"3 images are left out as corrupt; the first is {first}: it is no image that can be read")
    assert list(left_out({})) == []
    assert list(left_out({"a.jpg": "gone"})) == ["1 image is left out as corrupt; a.jpg: gone"]

"""Images that cannot be read are left out as Ultralytics leaves them out, counted and named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from raytrainer.results.announcement import left_out
from raytrainer.trainer.probe import probe


def test_corrupt_images(trial: Any, bccd: Path, tmp_path: Path) -> None:
    shutil.copytree(bccd.parent, tmp_path / "data", ignore=shutil.ignore_patterns("*.cache"))
    first, second, *_ = sorted((tmp_path / "data" / "images" / "train").iterdir())
    first.write_bytes(b"not a picture")
    second.write_bytes(second.read_bytes()[:200])
    for _ in range(2):  # the second time from the cache of the labels
        report = probe(trial(data=str(tmp_path / "data" / "data.yaml")), threads=1)
        assert report.left_out.keys() == {str(first), str(second)}
        assert report.train_images == 10
    (line,) = left_out(report.left_out)
    assert line.startswith(f"2 images are left out as corrupt; the first is {first}: it is no image that can be read")
    assert list(left_out({})) == []
    assert list(left_out({"a.jpg": "gone"})) == ["1 image is left out as corrupt; a.jpg: gone"]

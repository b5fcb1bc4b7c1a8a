"""The demo's images in YOLO format: scikit-learn's handwritten digits, imbalanced, for ever the same.

The digits are the test part of the "Optical Recognition of Handwritten Digits" set (Alpaydin and Kaynak, 1998; UCI),
as `sklearn.datasets.load_digits` ships them. Validation images hold samples that no training image holds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from raytrainer.config.problems import Problem, UserError
from raytrainer.demo.canvas import SIDE, Box, draw, scene

MOST_DIGITS = 3
"""Digits on a canvas, at most."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a set of canvases is made of."""

    name: str
    classes: dict[str, int]
    """The digit of every class, by the class's name."""
    shares: tuple[int, ...]
    """How often each class is drawn, relative to the others."""
    train: int
    val: int
    seed: int
    digest: str
    """What `digest` gives for the finished folder."""


DEMO = Recipe(
    "digits",
    {"three": 3, "five": 5, "eight": 8},
    (12, 5, 2),
    train=240,
    val=96,
    seed=2,
    digest="bf73f2bc4e9b53b40fd853bb2890c86565d00e950a03422a264fef93a57b0eb0",
)
"""What the demo study trains on: three digits that look alike, the last one rare."""

BASE = Recipe(
    "base-digits",
    {"zero": 0, "one": 1, "two": 2, "four": 4, "six": 6, "seven": 7, "nine": 9},
    (1, 1, 1, 1, 1, 1, 1),
    train=640,
    val=64,
    seed=1,
    digest="ff50d81e43b41196756f60527477a14d63f83df4f072bbec2eba02c41918e65c",
)
"""What the base model is trained on: the other seven digits."""


def digits(folder: str | Path, recipe: Recipe = DEMO) -> Path:
    """The `data.yaml` of a demo set in `folder`, made first if it is not there.

    Raises:
        UserError: if scikit-learn is not installed.
        ValueError: if the finished set is not the one that the recipe promises.
    """
    target = Path(folder).resolve() / f"{recipe.name}-{recipe.digest[:8]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{recipe.name}-"))
        try:
            _write(scratch, recipe)
            _publish(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target / "data.yaml"


def digest(folder: Path) -> str:
    """SHA-256 over the pixels and the labels of a set, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("images/*/*.bmp")):
        label = folder / "labels" / path.parent.name / f"{path.stem}.txt"
        total.update(f"{path.parent.name}/{path.stem}".encode())
        total.update(np.asarray(Image.open(path)).tobytes())
        total.update(label.read_bytes())
    return total.hexdigest()


def _write(folder: Path, recipe: Recipe) -> None:
    stream = np.random.RandomState(recipe.seed)
    for split, count, samples in zip(("train", "val"), (recipe.train, recipe.val), _samples(recipe), strict=True):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for index in range(count):
            image, boxes = scene(samples, _classes(recipe.shares, stream), stream)
            Image.fromarray(image).save(images / f"{index:04d}.bmp")  # uncompressed: no encoder can change its bytes
            (labels / f"{index:04d}.txt").write_bytes("".join(_rows(boxes)).encode())
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(recipe.classes))
    (folder / "data.yaml").write_bytes(f"train: images/train\nval: images/val\nnames:\n{names}".encode())
    if (found := digest(folder)) != recipe.digest:
        raise ValueError(f"the set {recipe.name} has the digest {found}, not {recipe.digest}: the digits have changed")


def _samples(recipe: Recipe) -> Iterator[dict[int, NDArray[np.int64]]]:
    """The handwritten samples (n, 8, 8) of each class: two thirds for training first, then the rest for validation."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        missing = "the demo's images need scikit-learn: pip install 'raytrainer[demo]'"
        raise UserError([Problem(None, None, "data", missing)]) from error
    bunch = load_digits()
    pools = [bunch.images[bunch.target == digit].astype(np.int64) for digit in recipe.classes.values()]
    yield {index: pool[: len(pool) * 2 // 3] for index, pool in enumerate(pools)}
    yield {index: pool[len(pool) * 2 // 3 :] for index, pool in enumerate(pools)}


def _classes(shares: Sequence[int], stream: np.random.RandomState) -> list[int]:
    """The classes of one canvas's digits, drawn by their shares."""
    edges = list(accumulate(shares))
    drawn = draw(0, edges[-1], stream, (int(draw(1, MOST_DIGITS + 1, stream)),))
    return [int(index) for index in np.searchsorted(edges, drawn, side="right")]


def _rows(boxes: Sequence[tuple[int, Box]]) -> Iterator[str]:
    """YOLO label rows: class, centre and size as shares of the image, exact in seven decimals."""
    for label, (left, top, right, bottom) in boxes:
        numbers = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        yield f"{label} " + " ".join(f"{number / SIDE:.7f}" for number in numbers) + "\n"


def _publish(scratch: Path, target: Path) -> None:
    """Give a finished folder its name, unless another process was faster."""
    try:
        os.rename(scratch, target)
    except OSError:
        if not target.exists():
            raise

"""Label files in YOLO format: which images have them, what they hold, and what is wrong with them."""

from __future__ import annotations

import errno
import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from raytrainer.config.problems import Problem

IMAGES = frozenset(["avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"])
"""`IMG_FORMATS` in ultralytics/data/utils.py."""

TOLERANCE = 0.01
"""Share of the image by which a coordinate may lie outside it (`verify_image_label`, ultralytics/data/utils.py)."""

READERS = 16
MAX_BYTES = 20_000_000
"""Of the labels of one image; a thousand polygons of a thousand corners have as many."""


@dataclass(slots=True)
class Labels:
    """What the label files of a split hold."""

    counts: Counter[int] = field(default_factory=Counter)
    """Instances by class index."""
    polygons: int = 0
    """Rows that are polygons, not boxes."""
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: Labels) -> None:
        """Take in another file's labels."""
        self.counts += other.counts
        self.polygons += other.polygons
        self.problems += other.problems


def find_images(source: Path) -> list[Path]:
    """Images of a split: all below a folder, or those that a text file lists (`get_img_files`, data/base.py).

    Raises:
        OSError: if the source cannot be read. UnicodeDecodeError: if the list is not UTF-8.
    """
    if source.exists() and not source.is_file() and not source.is_dir():
        raise OSError(errno.EINVAL, "neither a folder nor a file", str(source))  # such as a pipe, which never ends
    if source.is_dir():
        found = [Path(each) for each in glob.glob(os.path.join(glob.escape(str(source)), "**", "*.*"), recursive=True)]
    else:
        lines = source.read_text(encoding="utf-8-sig").strip().splitlines()
        found = [source.parent / line[2:] if line.startswith("./") else Path(line) for line in lines]
    return sorted(path for path in found if path.suffix[1:].lower() in IMAGES)


def label_file(image: Path) -> Path:
    """The label file of an image: the last `images` folder becomes `labels` (`img2label_paths`, data/utils.py)."""
    before, folder, after = str(image).rpartition(f"{os.sep}images{os.sep}")
    path = f"{before}{os.sep}labels{os.sep}{after}" if folder else str(image)
    return Path(path.rpartition(".")[0] + ".txt")


def read_labels(images: Sequence[Path], classes: int, keypoints: tuple[int, int] | None = None) -> Labels:
    """Read the label files of all images; an image without one is background.

    Args:
        images: paths of the images.
        classes: number of classes of the dataset.
        keypoints: for a pose dataset, keypoints an object and numbers a keypoint.
    """
    total = Labels()
    with ThreadPoolExecutor(READERS) as pool:
        for labels in pool.map(lambda image: _read_file(label_file(image), classes, keypoints), images, chunksize=64):
            total.add(labels)
    return total


def _read_file(file: Path, classes: int, keypoints: tuple[int, int] | None) -> Labels:
    try:
        status = file.stat()
        if not S_ISREG(status.st_mode):  # Ultralytics does not see it either
            return Labels()
        if status.st_size > MAX_BYTES:
            return Labels(problems=[Problem(str(file), None, None, f"is over {MAX_BYTES // 1_000_000} MB")])
        rows = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return Labels()
    except (OSError, UnicodeDecodeError) as error:
        return Labels(problems=[Problem(str(file), None, None, f"cannot be read: {error}")])
    labels = Labels()
    lengths = set()
    for number, row in enumerate(rows, start=1):
        if fields := row.split():
            lengths.add(len(fields) > 6 and keypoints is None)
            _read_row(labels, fields, classes, keypoints, (file, number))
    if len(lengths) == 2:
        labels.problems.append(Problem(str(file), None, None, "mixes rows of boxes and rows of polygons"))
    return labels


def _read_row(
    labels: Labels, fields: list[str], classes: int, keypoints: tuple[int, int] | None, place: tuple[Path, int]
) -> None:
    message = _wrong(fields, classes, keypoints)
    if message:
        labels.problems.append(Problem(str(place[0]), place[1], None, message))
        return
    labels.counts[int(float(fields[0]))] += 1
    labels.polygons += len(fields) > 6 and keypoints is None


def _wrong(fields: list[str], classes: int, keypoints: tuple[int, int] | None) -> str | None:
    """What is wrong with a row, as Ultralytics judges it; it leaves such images out, with a line in the log."""
    try:
        numbers = [float(text) for text in fields]
    except ValueError:
        return f"expected numbers, got '{' '.join(fields)[:60]}'"
    index, values = numbers[0], numbers[1:]
    if wrong := _wrong_length(len(values), keypoints):
        return wrong
    if index != index // 1 or index < 0:
        return f"expected a class index of 0 or more, got {fields[0]}"
    if index >= classes:
        return f"class index {int(index)}, but the dataset has {classes} classes, 0 to {classes - 1}"
    return _out_of_range(_coordinates(values, keypoints))


def _wrong_length(count: int, keypoints: tuple[int, int] | None) -> str | None:
    if keypoints:
        wanted = 4 + keypoints[0] * keypoints[1]
        return None if count in (4, wanted) else f"expected {wanted + 1} numbers for kpt_shape, got {count + 1}"
    if count == 4 or (count >= 6 and count % 2 == 0):
        return None
    return f"expected 5 numbers for a box or an odd number of at least 7 for a polygon, got {count + 1}"


def _coordinates(values: list[float], keypoints: tuple[int, int] | None) -> Iterable[float]:
    if not keypoints:
        return values
    points = values[4:]
    return values[:4] + [value for place, value in enumerate(points) if place % keypoints[1] < 2]


def _out_of_range(coordinates: Iterable[float]) -> str | None:
    for value in coordinates:
        if not -TOLERANCE <= value <= 1 + TOLERANCE:
            return f"expected coordinates from 0 to 1, as shares of the image, got {value:g}"
    return None

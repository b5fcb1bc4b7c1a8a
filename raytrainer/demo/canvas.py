"""One image of the demo: handwritten digits pasted at several sizes on a textured canvas.

Integers only, and the random stream that NumPy has frozen (`RandomState`): the same bytes on every machine, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are excluded."""

SIDE = 64
"""Width and height of a canvas in pixels."""
SIZES = (16, 20, 24, 28, 32)
"""Side of a pasted digit in pixels, before its blank margin is cropped."""
ATTEMPTS = 20
"""Places tried for a digit before it is left out."""


def draw(low: int, high: int, stream: np.random.RandomState, shape: tuple[int, ...] = ()) -> NDArray[np.int64]:
    """Integers in [low, high), of the given shape; the type is fixed because the stream depends on it."""
    return np.asarray(stream.randint(low, high, shape, dtype=np.int64))


def enlarge(grid: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Bilinear enlargement of a square grid (n, n, ...) to (side, side, ...), in integers."""
    n = grid.shape[0]
    at = np.arange(side) * (n - 1)
    low, weight = at // (side - 1), at % (side - 1)
    high = np.minimum(low + 1, n - 1)
    rows_weight = weight.reshape(-1, *[1] * (grid.ndim - 1))
    rows = grid[low] * (side - 1 - rows_weight) + grid[high] * rows_weight
    columns_weight = weight.reshape(1, -1, *[1] * (grid.ndim - 2))
    both = rows[:, low] * (side - 1 - columns_weight) + rows[:, high] * columns_weight
    return np.asarray(both // (side - 1) ** 2)


def texture(stream: np.random.RandomState) -> NDArray[np.int64]:
    """Background (SIDE, SIDE, 3): three octaves of value noise around a random colour, 0 to 255."""
    canvas = np.zeros((SIDE, SIDE, 3), dtype=np.int64) + draw(60, 190, stream, (3,))
    for cells, amplitude in ((3, 40), (9, 25), (33, 20)):
        canvas += enlarge(draw(-amplitude, amplitude + 1, stream, (cells, cells, 1)), SIDE)
    return canvas.clip(0, 255)


def paste(
    canvas: NDArray[np.int64], ink: NDArray[np.int64], left: int, top: int, stream: np.random.RandomState
) -> None:
    """Blend a digit's ink (h, w), 0 to 16, over the canvas in a colour lighter or darker than what it covers."""
    height, width = ink.shape
    under = canvas[top : top + height, left : left + width]
    light = under.mean() < 128
    colour = draw(200, 256, stream, (3,)) if light else draw(0, 56, stream, (3,))
    under[...] = (under * (16 - ink[..., None]) + colour * ink[..., None]) // 16


def crop(ink: NDArray[np.int64]) -> NDArray[np.int64]:
    """The digit without its blank margin; ink under a quarter counts as blank."""
    rows, columns = np.nonzero((ink >= 4).any(axis=1))[0], np.nonzero((ink >= 4).any(axis=0))[0]
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def overlaps(box: Box, others: Sequence[Box]) -> bool:
    """Whether a box shares a pixel with any of the others."""
    return any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in others)


def place(size: tuple[int, int], taken: Sequence[Box], stream: np.random.RandomState) -> Box | None:
    """A free place for a digit of (height, width) pixels, or None if none was found."""
    height, width = size
    for _ in range(ATTEMPTS):
        left, top = int(draw(0, SIDE - width + 1, stream)), int(draw(0, SIDE - height + 1, stream))
        box = (left, top, left + width, top + height)
        if not overlaps(box, taken):
            return box
    return None


def scene(
    digits: Mapping[int, NDArray[np.int64]], classes: Sequence[int], stream: np.random.RandomState
) -> tuple[Image, list[tuple[int, Box]]]:
    """A canvas with one digit for each entry of `classes` that finds a free place.

    Args:
        digits: for each class, its handwritten samples, (n, 8, 8), 0 to 16.
        classes: the class of each digit to paste.
        stream: where all randomness comes from.

    Returns:
        The image (SIDE, SIDE, 3), RGB, and the class and box of each digit.
    """
    canvas = texture(stream)
    boxes: list[tuple[int, Box]] = []
    for label in classes:
        sample = digits[label][int(draw(0, len(digits[label]), stream))]
        ink = crop(enlarge(sample, SIZES[int(draw(0, len(SIZES), stream))]))
        box = place((ink.shape[0], ink.shape[1]), [b for _, b in boxes], stream)
        if box is not None:
            paste(canvas, ink, box[0], box[1], stream)
            boxes.append((label, box))
    return canvas.astype(np.uint8), boxes

"""Images that Ultralytics leaves out of a dataset with no more than a line in its log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ultralytics.utils import LOGGER

from raytrainer.trainer.mistakes import ANSI

CORRUPT = re.compile(r"^(?:\w+: )?(?P<image>.+): ignoring corrupt image/label: (?P<why>.+)$")
"""A line of `verify_image` and `verify_image_label` (ultralytics/data/utils.py of 8.4.190), without colours."""


@contextmanager
def images_left_out() -> Iterator[dict[str, str]]:
    """Paths of the images that are left out within the block, each with the reason; filled as Ultralytics tells."""
    found: dict[str, str] = {}
    handler = _Listener(found)
    LOGGER.addHandler(handler)
    try:
        yield found
    finally:
        LOGGER.removeHandler(handler)


class _Listener(logging.Handler):
    def __init__(self, found: dict[str, str]) -> None:
        super().__init__(logging.INFO)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        for line in ANSI.sub("", record.getMessage()).splitlines():
            if match := CORRUPT.match(line):
                # Upstream takes what PIL does not know for HEIF, and asks for the module that reads it.
                missing = match["why"].startswith("No module named")
                self._found[match["image"]] = "it is no image that can be read" if missing else match["why"]

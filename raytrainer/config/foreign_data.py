"""What a dataset that somebody else has made must not do: run code here, or name files of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from raytrainer.config.problems import Problem, UserError
from raytrainer.config.upstream import package

ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".txz", ".tbz2")
"""What Ultralytics fetches; all else under `download:` it gives to a shell or to Python (`check_det_dataset`)."""


def refuse_script(file: Path, download: object, sources: Sequence[Path]) -> None:
    """Refuse a data.yaml whose images are missing and would be got by running code; those of Ultralytics are its own.

    Args:
        file: the data.yaml.
        download: what stands under that key.
        sources: where its validation images should be.

    Raises:
        UserError: as it says.
    """
    archive = ADDRESS.fullmatch(str(download)) and unquote(str(download)).partition("?")[0].lower().endswith(ARCHIVES)
    if archive or file.resolve().is_relative_to(package().resolve()):
        return
    missing = next(source for source in sources if not source.exists())
    message = f"val: {missing} does not exist, and download: would run code to get it, which is not done here"
    raise UserError([Problem(str(file), None, None, f"{message}; expected the images, or the address of an archive")])


def refuse_outside(file: Path, images: Iterable[Path], root: Path) -> None:
    """Refuse a dataset that was fetched and has images elsewhere.

    Raises:
        UserError: as it says.
    """
    outside = [image for image in images if not Path(os.path.normpath(image)).is_relative_to(root)]
    if outside:
        message = f"{len(outside)} of its images lie outside of it, the first is {outside[0]}"
        raise UserError([Problem(str(file), None, None, message)])

"""Files that are written whole or not at all, whenever the process or the machine dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

if sys.platform == "win32":
    from pathlib import WindowsPath as SystemPath
else:
    from pathlib import PosixPath as SystemPath


def write(path: Path, fill: Callable[[BinaryIO], object], keep_as: Path | None = None) -> None:
    """Write a file through `fill`; a reader sees the old contents or the new ones, and a crash loses neither.

    The new contents are on the disk before they take the old ones' name, and the folder's entry is too before this
    returns. With `keep_as` the old contents stay under that name.

    Raises:
        OSError: if the disk is full or the folder cannot be written; the old contents stay, and nothing else is left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        if keep_as is not None and path.exists():
            os.replace(path, keep_as)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """`write` for contents that are at hand."""
    write(path, lambda file: file.write(data))


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on the disk; Windows cannot open a folder and needs no such thing."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class AtomicPath(SystemPath):
    """A path whose `write_bytes` is `write_bytes` above; paths made from it with `/` are such paths too.

    Given to Ultralytics for its checkpoint folder, which it writes through `Path.write_bytes`, in place.
    """

    def write_bytes(self, data: Buffer) -> int:
        """Write whole or not at all; the number of bytes, as `Path.write_bytes` returns it."""
        contents = memoryview(data)
        write(Path(self), lambda file: file.write(contents))
        return contents.nbytes

"""Files that are written whole or not at all, whenever the process or the machine dies, and whatever the disk holds."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

if sys.platform == "win32":
    from pathlib import WindowsPath as SystemPath
else:
    from pathlib import PosixPath as SystemPath


FULL = (errno.ENOSPC, errno.EDQUOT)
UNWELL = (
    *FULL, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN
)  # fmt: skip
"""What a system says of storage that is full, was made read-only, or is gone: that may pass."""


LITTLE = 1_000_000
"""Bytes that are as good as none."""


class DiskFull(OSError):
    """There is no space left to write to. What was there before is whole: with space again the same run goes on."""


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Raise `DiskFull` in place of any error that a full disk, or a used up quota, is the cause of.

    torch reports its own failed bookkeeping when the file that it writes to has raised.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        cause = trouble_behind(error, FULL)
        if cause is None:
            raise
        raise DiskFull(cause.errno, f"{cause.strerror}; free some and go on", cause.filename) from error


def trouble_behind(error: BaseException | None, numbers: Collection[int] = UNWELL) -> OSError | None:
    """The trouble of the storage that is the cause of an error; None if that has another one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in numbers:
            return error
        error = error.__cause__ or error.__context__
    return None


def write(path: Path, fill: Callable[[BinaryIO], object], keep_as: Path | None = None) -> None:
    """Write a file through `fill`; a reader sees the old contents or the new ones, and a crash loses neither.

    The new contents are on the disk before they take the old ones' name, and the folder's entry is too before this
    returns. With `keep_as` the old contents stay under that name.

    Raises:
        DiskFull, OSError: if the disk is full or the folder cannot be written; the old contents stay, and nothing else
            is left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with full_disk_told(), partial.open("wb") as file:
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


@contextmanager
def nothing_left(partial: Path) -> Iterator[None]:
    """Remove a file that torch could not write to its end.

    Raises:
        DiskFull: if that may be for want of space. torch, given a path, does not say what kept it from writing.
    """
    try:
        yield
    except BaseException as error:
        there = partial.stat().st_size if partial.exists() else 0
        free = shutil.disk_usage(partial.parent).free
        partial.unlink(missing_ok=True)
        if isinstance(error, RuntimeError) and free < max(there, LITTLE):
            raise DiskFull(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}; free some and go on", str(partial)) from error
        raise


def put(partial: Path, path: Path) -> None:
    """Let a file that is complete take the place of another, when it is on the disk."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def append(path: Path, line: bytes) -> None:
    """Add to a file in a single write, so that a reader meanwhile sees the line, none of it, or a torn end.

    It is on the disk when this returns.

    Raises:
        DiskFull, OSError: as `write`; the file is then as it was.
    """
    with full_disk_told(), path.open("ab", buffering=0) as file:
        whole = file.tell()
        try:
            if file.write(line) != len(line):  # what fitted was written, and no error raised
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            file.truncate(whole)
            raise


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

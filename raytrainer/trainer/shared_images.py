"""Decoded images, once on a node: one file that every process there maps into its memory and none has a copy of.

The file lies in the node's shared memory if there is room, else on its disk, where the kernel keeps in memory what it
can. It is written by one process while the others wait, and seen whole or not at all. Whoever maps it holds a lock that
ends with its process, however that ends, so that files which nobody holds can be told and removed.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, BinaryIO
from weakref import WeakSet

import numpy as np
from ultralytics.utils import LOGGER, NUM_THREADS

from raytrainer.trainer import image_folders

Loaded = tuple[np.ndarray, tuple[int, int], tuple[int, int]]
"""An image (H, W, C), and height and width on the disk and now."""

INDEX = np.dtype([("offset", "<i8"), ("shape", "<i8", 3), ("original", "<i8", 2), ("dtype", "S8")])
ALIGNMENT = 64
BLOCK = 64
"""Images that are decoded before they are written: what the building process needs memory for."""
IDLE_SECONDS = 3600.0
"""How long a file stays that nobody holds: the next trial of a study that crashed will want it."""

_live: WeakSet[SharedImages] = WeakSet()
_used: set[Path] = set()


class SharedImages:
    """The images of one file, a sequence of arrays (H, W, C) that are read from shared memory.

    The mapping is copy-on-write: a process that writes into an image changes it for itself alone, as with a cache of
    its own. Pickled, it is opened anew.
    """

    def __init__(self, path: Path, slots: Sequence[int]) -> None:
        """Hold and map a file.

        Args:
            path: a file that `shared_images` wrote.
            slots: place in the file of each image.

        Raises:
            OSError: if it is not there.
        """
        self._path, self._slots, self._pid = path, list(slots), os.getpid()
        self._file = path.open("rb")
        fcntl.flock(self._file, fcntl.LOCK_SH)
        self._bytes: Any = np.memmap(self._file, dtype=np.uint8, mode="c")
        size = int(self._bytes[-8:].view("<i8")[0]) * INDEX.itemsize
        self._index = np.array(self._bytes[-8 - size : -8]).view(INDEX)[self._slots]
        _live.add(self)
        _used.add(path)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def originals(self) -> list[tuple[int, int]]:
        """Height and width of each image on the disk, before it was resized."""
        return [(int(h), int(w)) for h, w in self._index["original"]]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each image here."""
        return [(int(h), int(w)) for h, w, _ in self._index["shape"]]

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, i: int) -> np.ndarray:
        entry = self._index[i]
        shape, dtype = tuple(int(n) for n in entry["shape"]), np.dtype(entry["dtype"].decode())
        begin = int(entry["offset"])
        data = np.asarray(self._bytes[begin : begin + int(np.prod(shape)) * dtype.itemsize])
        image: np.ndarray = data.view(dtype).reshape(shape)
        return image

    def __getstate__(self) -> tuple[Path, list[int]]:
        return self._path, self._slots

    def __setstate__(self, state: tuple[Path, list[int]]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def lasting(self) -> bool:
        """Whether the file was not removed before it was held."""
        return _is(self._file.fileno(), self._path)

    def let_go(self) -> None:
        """No longer keep the file from being removed; what is mapped stays readable."""
        if self._pid == os.getpid():  # a forked process shares the lock with the one that took it
            fcntl.flock(self._file, fcntl.LOCK_UN)


def shared_images(key: str, slots: Sequence[int], load: Callable[[int], Loaded], sample: Sequence[int]) -> SharedImages:
    """The images of a key, from the node's file, which is written first if it is not there.

    Args:
        key: a name for exactly these pixels.
        slots: place in the file of each image; several may have the same.
        load: decodes the image of an index into `slots`; called in several threads.
        sample: indices by whose size the room is estimated that all of them need.

    Raises:
        UserError: if there is no room for them in the node's memory or on its disk.
    """
    with _locked(image_folders.control() / f"{key}.lock"):
        while (images := _opened(f"{key}.images", slots)) is None:
            sweep()
            _build(f"{key}.images", slots, load, sample)
        return images


def _opened(name: str, slots: Sequence[int]) -> SharedImages | None:
    """The file of that name in the first folder that has it."""
    for folder in image_folders.all_of_them():
        with contextlib.suppress(FileNotFoundError):
            images = SharedImages(folder / name, slots)
            os.utime(images.path)
            if images.lasting():
                return images
    return None


def _build(name: str, slots: Sequence[int], load: Callable[[int], Loaded], sample: Sequence[int]) -> None:
    first = {slot: i for i, slot in reversed(list(enumerate(slots)))}
    each = sum(load(i)[0].nbytes + ALIGNMENT for i in sample) / len(sample)
    path = image_folders.with_room_for(int(each * len(first))) / name
    partial, begun = path.with_suffix(".partial"), time.perf_counter()
    try:
        with partial.open("wb") as file, ThreadPool(NUM_THREADS) as pool:
            _write(file, [first[slot] for slot in sorted(first)], load, pool)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise image_folders.no_room(str(error)) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    size, seconds = path.stat().st_size / 2**30, time.perf_counter() - begun
    LOGGER.info(f"decoded {len(first)} images for all trials of this node: {size:.2f} GiB in {path}, {seconds:.1f} s")


def _write(file: BinaryIO, order: Sequence[int], load: Callable[[int], Loaded], pool: ThreadPool) -> None:
    """Images one after another, then their index, then its length."""
    index = np.zeros(len(order), INDEX)
    for begin in range(0, len(order), BLOCK):
        for slot, (image, original, _) in enumerate(pool.map(load, order[begin : begin + BLOCK]), begin):
            index[slot] = (file.tell(), image.shape, original, image.dtype.str.encode())
            file.write(np.ascontiguousarray(image).tobytes())
            file.write(bytes(-file.tell() % ALIGNMENT))
    file.write(index.tobytes())
    file.write(np.int64(len(index)).tobytes())


def sweep() -> None:
    """Remove what nobody holds and nobody has asked for in an hour, of whichever study it was."""
    for folder in image_folders.all_of_them():
        for path in [*folder.glob("*.images"), *folder.glob("*.partial")]:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > IDLE_SECONDS:
                    remove(path)
    for path in image_folders.control().glob("*.lock"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > IDLE_SECONDS:
                _remove_lock(path)


def remove(path: Path) -> bool:
    """Remove a file of images unless somebody holds it; whether it is gone."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True


def leave() -> None:
    """Let the files stay when this process ends, for those that will train."""
    _used.clear()


def let_go() -> None:
    """Let go of every file that this process holds, and remove those that nobody else does. Happens at its exit too."""
    for images in list(_live):
        images.let_go()
    for path in list(_used):
        remove(path)
        _used.discard(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that has a file, made if need be, while no other process does."""
    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is(file.fileno(), path):  # else it was removed while this process waited for it
                os.utime(path)
                yield
                return


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove_lock(path: Path) -> None:
    with path.open("a") as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


atexit.register(let_go)

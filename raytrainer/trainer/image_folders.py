"""Where a node keeps decoded images: its shared memory, else its disk, as far as there is room."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from raytrainer.config.problems import UserError
from raytrainer.trainer.user_error import user_error

VARIABLE = "RAYTRAINER_IMAGES"
"""Environment variable that names the folder, such as one on a fast disk of the node; there is no other then."""
SHARED_MEMORY = Path("/dev/shm")
MARGIN = 1.2
"""How much more room there must be than the images need by their estimate."""
OF_MEMORY = 0.5
"""Share of the free memory that images may take: the trials need the rest."""

GROUP_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""What a container may have and has, in versions 2 and 1 of control groups: shared memory counts."""


def control() -> Path:
    """The folder of locks, made if need be; the same for all of a user's processes on this node."""
    return all_of_them()[-1]


def all_of_them() -> list[Path]:
    """The folders that may hold images, the best one first, made if need be."""
    chosen, name = os.environ.get(VARIABLE), f"raytrainer-images-{os.getuid()}"
    roots = [SHARED_MEMORY, Path(tempfile.gettempdir())] if SHARED_MEMORY.is_dir() else [Path(tempfile.gettempdir())]
    folders = [Path(chosen)] if chosen else [root / name for root in roots]
    return [folder for folder in folders if _usable(folder, last=folder == folders[-1])]


def _usable(folder: Path, *, last: bool) -> bool:
    """Make a folder for this user alone. The last one is needed, so its error is raised."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        if last:
            raise
        return False
    return last or os.access(folder, os.W_OK)


def with_room_for(size: int) -> Path:
    """The best folder for so many bytes.

    Raises:
        UserError: if none has room for them.
    """
    folders = all_of_them()
    for folder in folders:
        if room(folder) >= size * MARGIN:
            return folder
    there = "; ".join(f"{folder} has {room(folder) / 2**30:.2f} GiB" for folder in folders)
    raise no_room(f"they need {size * MARGIN / 2**30:.2f} GiB and {there}")


def no_room(why: str) -> UserError:
    """The error for images that cannot be kept."""
    return user_error(
        "train.cache",
        f"shared: the decoded images cannot be kept on this node: {why}; make room, name a folder on another disk in "
        f"{VARIABLE}, or set cache to disk or false",
    )


def room(folder: Path) -> int:
    """Bytes that images may take there. What lies in memory may take a share only of what the trials need too."""
    free = shutil.disk_usage(folder).free
    return min(free, int(_free_memory() * OF_MEMORY)) if _in_memory(folder) else free


def _in_memory(folder: Path) -> bool:
    """Whether a folder lies in a file system that keeps its files in memory."""
    kinds = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _, mount, kind, *_ = line.split()
            kinds[Path(mount)] = kind
    place = folder.resolve()
    mounted = next((path for path in (place, *place.parents) if path in kinds), None)
    return mounted is not None and kinds[mounted] in ("tmpfs", "ramfs")


def _free_memory() -> int:
    """Bytes of memory that this process may still have, in its container if it is in one."""
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
    free = [int(meminfo["MemAvailable"].split()[0]) * 1024]
    for limit, used in GROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such group, or `max`: no limit
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return max(0, min(free))

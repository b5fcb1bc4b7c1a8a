"""File systems of their own, which run full, are made read-only, vanish and come back. They take Linux and root."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


class Disk:
    """An ext4 file system in a file, mounted at a folder.

    Each mount is by a device of its own: a file system that has been aborted stays so for whoever has files open there.
    """

    def __init__(self, image: Path, folder: Path, size: str) -> None:
        self._image, self.folder = image, folder
        folder.mkdir()
        _run("truncate", "--size", size, image)
        _run("mkfs.ext4", "-q", "-m", "0", image)
        self._device = ""
        self.mount()

    def mount(self) -> None:
        """Put it there, with what its journal makes of it."""
        self._device = _run("losetup", "--find", "--show", self._image).strip()
        _run("mount", self._device, self.folder)

    def abort(self) -> None:
        """As the kernel does on a disk that fails: read-only from now on, for files that are open too."""
        _run("mount", "-o", "remount,abort", self.folder)

    def unmount(self) -> None:
        """Take it away from whoever looks for it by its path; nothing is left there but the empty folder."""
        if self._device:
            _run("umount", "--lazy", self.folder)
            _run("losetup", "--detach", self._device)  # when the last file there is closed
            self._device = ""

    def fill(self) -> None:
        """Take all the space that there is."""
        with (self.folder / "ballast").open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Give it back."""
        (self.folder / "ballast").unlink()


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a file system of its own takes Linux and root: {command[0]}: {done.stderr.strip()}")
    return done.stdout

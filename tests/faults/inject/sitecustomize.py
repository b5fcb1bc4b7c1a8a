"""Strikes a process at a chosen moment: Python imports this by itself in every process that has its folder on its path.

`RAYTRAINER_FAULT` is JSON: in the process that makes the `nth` call of `call` with a path that matches `path`, `action`
is done before the call; a write kills the process when half of it is on the disk. It strikes until there were
`times` strikes, once by default, each of which leaves a file in `marks`; `actions` has an action for each.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

FAULT = json.loads(os.environ.get("RAYTRAINER_FAULT", "null"))


def _kill_driver() -> None:
    os.kill(int(os.environ["RAYTRAINER_FAULT_DRIVER"]), signal.SIGKILL)
    time.sleep(60)  # a trial outlives its driver by seconds at most


def _raise() -> None:
    raise RuntimeError("injected")


ACTIONS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "raise": _raise,
    "segfault": lambda: ctypes.string_at(0),
    "hang": lambda: ctypes.PyDLL(None).sleep(600),  # holds the interpreter, as a hanging driver of a device does
    "kill driver": _kill_driver,
}


class Strike:
    """Stands in for a function of `os` that takes a path first."""

    def __init__(self, original: Any) -> None:
        self.original = original
        self.calls = 0

    def __call__(self, path: Any, *rest: Any, **more: Any) -> Any:
        if re.search(FAULT["path"], str(path)):
            self.calls += 1
            if self.calls >= FAULT["nth"] and (strikes := _strike()):
                ACTIONS[FAULT["actions"][strikes - 1] if "actions" in FAULT else FAULT["action"]]()
        return self.original(path, *rest, **more)


def _strike() -> int:
    """Which strike this is, counted from 1; 0 if there were enough."""
    marks = Path(FAULT["marks"])
    struck = len(list(marks.glob("struck-*")))
    if struck >= FAULT.get("times", 1):
        return 0
    (marks / f"struck-{struck}-{os.getpid()}").touch()
    return struck + 1


class Tear:
    """Stands in for `os.write`: kills the process when a part of the nth write to a file is on the disk."""

    def __init__(self, original: Any) -> None:
        self.original = original
        self.calls = 0

    def __call__(self, descriptor: int, data: Any) -> int:
        if re.search(FAULT["path"], os.readlink(f"/proc/self/fd/{descriptor}")):
            self.calls += 1
            if self.calls >= FAULT["nth"] and _strike():
                self.original(descriptor, bytes(data)[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        return int(self.original(descriptor, data))


if FAULT is not None:
    if FAULT["call"] == "os.write":
        os.write = Tear(os.write)
    elif FAULT["call"] == "open":
        builtins.open = Strike(builtins.open)
    else:
        name = FAULT["call"].removeprefix("os.")
        setattr(os, name, Strike(getattr(os, name)))

"""Strikes a process at a chosen moment: Python imports this by itself in every process that has its folder on its path.

`RAYTRAINER_FAULTS` names a file of JSON, which is read when a process starts. `strikes` come one after the other, each
once: in the process that makes the `nth` call of `call` with a file whose path matches `path`, `action` is done before
the call. Each leaves a file in `marks`. Calls in `slow` always take so many `seconds` longer.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

FAULTS = json.loads(Path(os.environ["RAYTRAINER_FAULTS"]).read_text()) if "RAYTRAINER_FAULTS" in os.environ else {}
STRIKES, SLOW = FAULTS.get("strikes", []), FAULTS.get("slow", [])


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_driver() -> None:
    os.kill(int((Path(FAULTS["marks"]) / "driver").read_text()), signal.SIGKILL)
    time.sleep(60)  # a trial outlives its driver by seconds at most


def _raise(error: Exception) -> None:
    raise error


def _out_of_memory() -> None:
    import torch

    torch.empty(1 << 60, dtype=torch.uint8)  # more than any machine has, so that torch says it in its own words


ACTIONS = {
    "kill": _kill,
    "exit": lambda: os._exit(3),
    "raise": lambda: _raise(RuntimeError("injected")),
    "out of memory": _out_of_memory,
    "segfault": lambda: ctypes.string_at(0),
    "hang": lambda: ctypes.PyDLL(None).sleep(600),  # holds the interpreter, as a hanging driver of a device does
    "kill driver": _kill_driver,
}


class Watched:
    """Stands in for a function that takes a path or a file's descriptor first."""

    def __init__(self, name: str, original: Any) -> None:
        self.name, self.original = name, original
        self.calls: Counter[int] = Counter()

    def __call__(self, file: Any, *rest: Any, **more: Any) -> Any:
        path = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else os.fsdecode(file)
        time.sleep(sum(slow["seconds"] for slow in SLOW if self._meant(slow, path)))
        if (action := self._due(path)) == "tear":
            self.original(file, bytes(rest[0])[: len(rest[0]) // 2])
            _kill()
        elif action:
            ACTIONS[action]()
        return self.original(file, *rest, **more)

    def _meant(self, fault: Any, path: str) -> bool:
        return bool(fault["call"] == self.name and re.search(fault["path"], path))

    def _due(self, path: str) -> str | None:
        """What is to be done now, which nobody else does then."""
        if not any(self._meant(strike, path) for strike in STRIKES):
            return None
        struck = len(list(Path(FAULTS["marks"]).glob("struck-*")))
        if struck >= len(STRIKES) or not self._meant(STRIKES[struck], path):
            return None
        self.calls[struck] += 1
        if self.calls[struck] < STRIKES[struck]["nth"]:
            return None
        try:
            (Path(FAULTS["marks"]) / f"struck-{struck}").touch(exist_ok=False)
        except FileExistsError:
            return None
        return str(STRIKES[struck]["action"])


for name in {fault["call"] for fault in [*STRIKES, *SLOW]}:
    owner: Any = builtins if name == "open" else os
    setattr(owner, name.removeprefix("os."), Watched(name, getattr(owner, name.removeprefix("os."))))

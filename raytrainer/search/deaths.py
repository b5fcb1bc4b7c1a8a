"""What ended a trial's process, read from what Ray and the process left behind."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# Ray 2.60's own words, in `gcs_server` and `raylet`; it has no other sign for these that reaches a scheduler.
NODE_LOST = "its node has died"
NODE_UNFIT = "is not fit for this study"
"""In the text of every `NodeUnfit` (`raytrainer.cluster.node`)."""
NODE_MEMORY = "running low on memory"

TAIL = 64 * 1024
STACKS = re.compile(
    rb"Timeout \((?P<after>[\d:.]+)\)!\n(?:(?:Current thread|Thread|  File|  <|  \.\.\.|Extension modules).*\n|\n)*\Z"
)
"""What `faulthandler` writes when it ends a process, at the end of a log."""


@dataclass(frozen=True, slots=True)
class Death:
    """Why a trial's process is no more."""

    reason: str
    of_node: bool
    """Whether the whole node was lost, or could not be prepared."""
    for_memory: bool
    """Whether Ray ended it because its node was short of memory."""


def death_of(error_file: str | None, log: Path) -> Death:
    """What Ray's error file of a trial says last, and whether the trial's own log ends in a stall."""
    error = _last_failure(Path(error_file)) if error_file else []
    text, stalled = " ".join(error), stalled_after(log)
    reason = f"it hung: no batch in {stalled} h" if stalled else (error[-1] if error else "its process died")
    return Death(reason, NODE_LOST in text or NODE_UNFIT in text, NODE_MEMORY in text)


def stalled_after(log: Path) -> str | None:
    """Hours, minutes and seconds without a batch, if that is what ended the process that wrote this log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            found = STACKS.search(file.read())
    except OSError:  # there is none, or its disk is gone, which is no reason to end a driver
        return None
    return found["after"].decode() if found else None


def _last_failure(file: Path) -> list[str]:
    """The lines of the latest failure in Ray's file, which begins each with a line of its own."""
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    lines = text.rpartition("Failure # ")[2].split("\n")
    return [line for line in lines[1:] if line.strip()]

"""A process that hangs is ended, even by a call that holds the interpreter; one that works or waits is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import ctypes, time
from raytrainer.cluster.stall import Watchdog
watchdog = Watchdog(0.3)
watchdog.batch()
"""


@pytest.mark.parametrize(
    ("then", "ended"),
    [
        ("ctypes.PyDLL(None).sleep(60)", True),
        ("time.sleep(60)", True),
        ("for _ in range(50): time.sleep(0.02); watchdog.batch()", False),
        ("watchdog.rest(); time.sleep(1)", False),
        ("watchdog.rest(); watchdog.batch(); time.sleep(60)", True),
        ("Watchdog(None).batch(); watchdog.rest(); time.sleep(1)", False),
    ],
    ids=["interpreter held", "asleep", "at work", "at rest", "after a rest", "switched off"],
)
def test_only_a_stall_ends_the_process(then: str, ended: bool) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN + then], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode != 0) is ended
    assert ("Timeout" in done.stderr) is ended

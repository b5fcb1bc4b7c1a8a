"""A program on the head of a cluster that is joined from outside runs as if it ran here."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from .conftest import PROJECT, SECONDS, Head

CALLER = """
import sys
from raytrainer.cluster.head_driver import drive

say = sys.stdout.buffer.write
status, result = drive(sys.argv[1], ["-c", sys.argv[2], sys.argv[3]], b"please", {"SECRET": "told"}, say, 3.0)
print(status, result, flush=True)
"""
PROGRAM = """
import os, sys
from pathlib import Path

note, address, result = sys.argv[1:]
length = int.from_bytes(os.read(0, 8), "big")
print(os.read(0, length).decode(), os.environ["SECRET"], address.rpartition(":")[2], flush=True)
if note:
    os.read(0, 1)
    Path(note).write_text("nobody is there any more")
Path(result).write_bytes(b"done")
sys.exit(3)
"""


DYING = """
import os, psutil
from contextlib import contextmanager
from raytrainer.cluster import head_driver

joins, joined = [], head_driver.session

@contextmanager
def join(*given):
    with joined(*given) as starting:
        starting.result()
        joins.append(starting)
        for process in psutil.process_iter(["cmdline"]) if len(joins) == 1 else ():
            command = process.info["cmdline"] or []
            if "--mode=specific-server" in command and any(os.environ["HEAD"] in part for part in command):
                process.kill()
                process.wait()
        yield starting

head_driver.session = join
"""
"""The first server that the head starts for the caller dies as soon as it is there."""


def call(head: Head, note: str, caller: str = CALLER, **variables: str) -> subprocess.Popen[str]:
    """Runs the program there."""
    command = [sys.executable, "-u", "-c", caller, head.client, PROGRAM, note]
    environment = head.environment(**variables)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, cwd=PROJECT, text=True, **pipes)


def test_output_status_and_result_come_back(head: Head) -> None:
    output, _ = call(head, "").communicate(timeout=SECONDS)
    assert output.splitlines() == [f"please told {head.port}", "3 b'done'"]


def test_a_server_that_dies_as_it_starts_is_asked_for_again(head: Head) -> None:
    variables = {"HEAD": head.address, "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "1"}
    output, error = call(head, "", DYING + CALLER, **variables).communicate(timeout=SECONDS)
    assert output.splitlines() == [f"please told {head.port}", "3 b'done'"], error


def test_it_hears_when_who_started_it_is_gone(head: Head, tmp_path: Path) -> None:
    note = tmp_path / "note"
    caller = call(head, str(note))
    assert caller.stdout is not None
    assert caller.stdout.readline().startswith("please")
    caller.kill()
    caller.communicate()
    deadline = time.monotonic() + SECONDS
    while not note.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)

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


def call(head: Head, note: str) -> subprocess.Popen[str]:
    """Runs the program there."""
    command = [sys.executable, "-u", "-c", CALLER, head.client, PROGRAM, note]
    return subprocess.Popen(command, env=head.environment(), cwd=PROJECT, text=True, stdout=subprocess.PIPE)


def test_output_status_and_result_come_back(head: Head) -> None:
    output, _ = call(head, "").communicate(timeout=SECONDS)
    assert output.splitlines() == [f"please told {head.port}", "3 b'done'"]


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

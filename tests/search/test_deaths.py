"""Why a process died, from what Ray and the process itself wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raytrainer.search.deaths import Death, death_of, stalled_after

FIRST = "Failure # 1 (occurred at 2026-01-01_10-00-00)\nThe actor died because its node has died. Node Id: 17\n"
SECOND = "Failure # 2 (occurred at 2026-01-01_10-00-01)\nTraceback\n\nRankLost: a rank's process died\n"
MEMORY = "Failure # 1 (occurred at x)\n1 worker(s) were killed due to the node running low on memory.\n"
HANGS = """
import faulthandler, sys, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
faulthandler.dump_traceback_later(0.2, exit=True, file=2)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("text", "death"),
    [
        (FIRST, Death("The actor died because its node has died. Node Id: 17", True, False)),
        (FIRST + SECOND, Death("RankLost: a rank's process died", False, False)),
        (MEMORY, Death("1 worker(s) were killed due to the node running low on memory.", False, True)),
        ("", Death("its process died", False, False)),
    ],
    ids=["node", "latest", "memory", "silent"],
)
def test_the_latest_failure_counts(text: str, death: Death, tmp_path: Path) -> None:
    (tmp_path / "error.txt").write_text(text)
    assert death_of(str(tmp_path / "error.txt"), tmp_path / "log.txt") == death


def test_without_a_file_it_is_a_death_all_the_same(tmp_path: Path) -> None:
    assert death_of(None, tmp_path / "log.txt") == Death("its process died", False, False)


@pytest.mark.parametrize(("after", "stalled"), [(b"", True), (b"epoch 2\n", False)], ids=["the end", "it went on"])
def test_a_stall_is_read_from_the_end_of_the_log(after: bytes, stalled: bool, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        output.write(b"epoch 1\n")
        output.flush()
        done = subprocess.run([sys.executable, "-c", HANGS], stderr=output, check=False)
        output.write(after)
    assert done.returncode == 1
    assert (stalled_after(log) is not None) is stalled
    assert ("hung" in death_of(None, log).reason) is stalled

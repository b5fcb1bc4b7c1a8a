"""What a process prints during a trial lands in that trial's log, and the descriptors come back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, os, subprocess, sys
from pathlib import Path
from raytrainer.cluster.output import OutputTo
stream = logging.StreamHandler(sys.stdout)
before = len(os.listdir("/proc/self/fd"))
for trial in sys.argv[1:]:
    with OutputTo(Path(trial)) as output:
        print("python", trial)
        stream.stream.write("an old stream object\\n")
        os.write(2, b"descriptor\\n")
        subprocess.run(["echo", "child"])
    output.close()
print("outside")
assert len(os.listdir("/proc/self/fd")) == before
"""


def test_every_kind_of_output_goes_to_the_log_of_its_trial(tmp_path: Path) -> None:
    logs = [tmp_path / "0000" / "log.txt", tmp_path / "0001" / "log.txt"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, logs)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "outside\n"
    assert done.stderr == ""
    for log in logs:
        text = log.read_text()
        for expected in (f"python {log}", "an old stream object", "descriptor", "child"):
            assert text.count(expected) == 1


def test_a_log_is_appended_to_when_a_trial_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    subprocess.run([sys.executable, "-c", PROGRAM, str(log), str(log)], capture_output=True, timeout=60, check=True)
    assert log.read_text().count("child") == 2


def test_what_a_full_disk_does_not_take_comes_out_nowhere_else(tmp_path: Path) -> None:
    program = (
        "import logging, sys; from pathlib import Path; from raytrainer.cluster.output import LogFile, OutputTo\n"
        "with OutputTo(Path('/dev/full')):\n    print('lost')\n    logging.getLogger().warning('lost as well')\n"
        "logging.getLogger().addHandler(LogFile(Path('/dev/full')))\nlogging.getLogger().warning('lost too')\n"
        "print('outside')\n"
    )
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path, env=buffered
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "outside\n", "")

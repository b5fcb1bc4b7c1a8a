"""A password that was typed is seen by nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raytrainer.config.storage import PASSWORD

PROJECT = Path(__file__).resolve().parent.parent
SHOW = """
import os, sys
from pathlib import Path
from raytrainer import cli
cli._dispatch = lambda argv: print(Path("/proc/self/cmdline").read_bytes(), argv, os.environ[sys.argv[1]], sep="|")
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("--storage=postgresql://me:s3cr%2Fet@db/s", "--storage=postgresql://me@db/s"),
        ("redis://:s3cr%2Fet@db:6379/0", "redis://db:6379/0"),
    ],
)
def test_a_password_is_taken_out_of_the_command_line(typed: str, kept: str, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(SHOW)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, tmp_path / "show.py", PASSWORD, "tune", typed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    seen, given, password = done.stdout.strip().split("|")
    assert "s3cr" not in seen + given, done.stderr
    assert (given, password) == (str([PASSWORD, "tune", kept]), "s3cr/et")

"""Starts `one_rank.py` in as many processes as a test wants ranks."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("one_rank.py")
QUICK = {
    "imgsz": 64, "batch": 4, "nbs": 4, "device": "cpu", "optimizer": "AdamW", "lr0": 0.002, "workers": 0,
    "amp": False, "plots": False, "verbose": False, "seed": 0, "pretrained": False, "warmup_epochs": 0,
}  # fmt: skip


def start(jobs: Path, world_size: int = 2, script: Path = SCRIPT) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = [[sys.executable, str(script), str(jobs), str(r), str(world_size), str(port)] for r in range(world_size)]
    return [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for c in commands]


def launch(folder: Path, jobs: dict[str, Any], script: Path = SCRIPT) -> list[dict[str, Any]]:
    """Train the jobs on two ranks; what each rank saw, by job."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    processes = start(folder / "jobs.json", script=script)
    try:
        outputs = [process.communicate(timeout=400)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(output[-3000:] for output in outputs)
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]

"""Starts `one_rank.py` in as many processes as a test wants ranks."""

from __future__ import annotations

import json
import os
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


def start(jobs: Path, world_size: int = 2, script: Path = SCRIPT, nodes: int = 1) -> list[subprocess.Popen[str]]:
    """The ranks of a group, spread evenly over so many nodes, as far as their environment tells them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, str(script), str(jobs), str(rank), str(world_size), str(port)],
            env={**os.environ, "LOCAL_RANK": str(rank % (world_size // nodes))},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(world_size)
    ]  # fmt: skip


def launch(
    folder: Path, jobs: dict[str, Any], script: Path = SCRIPT, nodes: int = 1, timeout: int = 400
) -> list[dict[str, Any]]:
    """Train the jobs on two ranks, once in a folder; what each rank saw, by job."""
    with (folder / "jobs.json").open("x") as file:  # what a launch that failed has left there is not begun with
        json.dump(jobs, file)
    processes = start(folder / "jobs.json", script=script, nodes=nodes)
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(output[-3000:] for output in outputs)
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]

"""Clusters of several nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

AddNode = Callable[..., str]


@pytest.fixture
def add_node(tmp_path: Path) -> Iterator[AddNode]:
    """Adds a node to a cluster on this machine, the head first; returns the cluster's address."""
    with nodes(tmp_path) as (add, _):
        yield add


@contextmanager
def nodes(folder: Path) -> Iterator[tuple[AddNode, subprocess.Popen[str]]]:
    """What adds a node, and the process that every process of the cluster is below."""
    script = Path(__file__).with_name("nodes.py")
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    log = (folder / "nodes.log").open("w")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        env=environment, cwd=folder,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None

    def add(**arguments: Any) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if ":" in line:
                return line.strip()
        raise AssertionError((folder / "nodes.log").read_text()[-2000:])

    yield add, process
    process.stdin.close()
    process.wait(60)
    log.close()

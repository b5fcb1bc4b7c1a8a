"""A cluster that asks for a token and whose nodes have an older version of this package, and studies that join it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from raytrainer.cluster.loopback import REACHABLE
from raytrainer.config.layout import StudyFolder
from raytrainer.trainer.records import read_records

PROJECT = Path(__file__).resolve().parents[2]
TOKEN = "the-token-of-the-tests"
RAY = str(Path(sys.executable).with_name("ray"))
SECONDS = 200

PROGRAM = (str(PROJECT / "tune.py"),)
Driver = subprocess.Popen[str]
Tune = Callable[..., Driver]

SPACE = """
    model: yolo-tiny.yaml
    data: {data}
    fitness: fit.py:later_is_worse
    train: {{epochs: 2, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, plots: false, amp: false, mosaic: 0}}
    search: {{trials: 2, seed: 7, pruner: asha, min_epochs: 1}}
    resources: {{cpus: 1, gpus: 0}}
    space:
      lr0: {{low: 1e-4, high: 1e-2, log: true, default: 0.002}}
"""
FITNESS = """
    import time

    BEGUN = time.time()
    calls = []

    def later_is_worse(metrics):
        calls.append(metrics)
        return len(calls) - BEGUN / 1e10
"""
"""A trial that begins later is worse at every epoch, so that it is stopped early."""


@dataclass(frozen=True)
class Head:
    """A cluster of one node, all of whose servers are on loopback."""

    folder: Path
    port: int
    client_port: int
    dashboard_port: int

    @property
    def address(self) -> str:
        """Where its nodes and drivers find it."""
        return f"127.0.0.1:{self.port}"

    @property
    def client(self) -> str:
        """Where it is joined from outside."""
        return f"ray://127.0.0.1:{self.client_port}"

    @property
    def dashboard(self) -> str:
        """Where jobs are submitted."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    def environment(self, **variables: str | None) -> dict[str, str]:
        """That of a user who knows the token; without a variable that is None."""
        given = {
            **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_TMPDIR": str(self.folder),
            "PYTHONPATH": str(PROJECT), "COLUMNS": "120", **variables,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="package")
def head() -> Iterator[Head]:
    """`ray start --head`, on a machine where this package is an older one that cannot even be imported."""
    folder = Path(tempfile.mkdtemp(prefix="rt-head-"))  # a short path, for Ray's sockets
    *ports, agent_port = free_ports(4)
    made = Head(folder, *ports)
    older = folder / "installed" / "raytrainer"
    older.mkdir(parents=True)
    (older / "__init__.py").write_text("raise ImportError('an older version')\n")
    environment = made.environment(
        PYTHONPATH=str(older.parent), RAY_USAGE_STATS_ENABLED="0",
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        GRPC_ENABLE_FORK_SUPPORT="0",  # with it the servers that the client server forks crash now and then
        **{REACHABLE: "0"},
    )  # fmt: skip
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(
            [RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={made.port}",
             f"--ray-client-server-port={made.client_port}", f"--dashboard-port={made.dashboard_port}",
             f"--dashboard-agent-listen-port={agent_port}", "--dashboard-host=127.0.0.1", "--num-cpus=1",
             "--object-store-memory=100000000"],
            env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_until_it_listens(made, process)
        yield made
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_it_listens(head: Head, process: subprocess.Popen[bytes]) -> None:
    """Its GCS server, its client server and its dashboard."""
    deadline = time.monotonic() + SECONDS
    for port in (head.port, head.client_port, head.dashboard_port):
        while True:
            assert process.poll() is None, (head.folder / "head.log").read_text()
            assert time.monotonic() < deadline, (head.folder / "head.log").read_text()
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; kill what is left of it."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    _, left = psutil.wait_procs([psutil.Process(process.pid), *family] if family else [], timeout=20)
    for each in left:
        each.kill()
    process.wait(20)


@pytest.fixture
def workplace(tmp_path: Path, bccd: Path) -> Path:
    """A folder with a space file, and beside it the model and the fitness that it names."""
    folder = tmp_path / "workplace"
    folder.mkdir()
    shutil.copy(PROJECT / "tests" / "models" / "yolo-tiny.yaml", folder)
    (folder / "fit.py").write_text(textwrap.dedent(FITNESS))
    (folder / "cells.yaml").write_text(textwrap.dedent(SPACE).format(data=bccd))
    return folder


@pytest.fixture
def tune(head: Head, workplace: Path) -> Iterator[Tune]:
    """Starts `python tune.py --space cells.yaml`, as a user who knows the token does; kills what is left at the end."""
    started: list[Driver] = []

    def start(
        *flags: str | Path, folder: Path = workplace, program: Sequence[str] = PROGRAM, **variables: str | None
    ) -> Driver:
        command = [sys.executable, *program, "--space", "cells.yaml", *map(str, flags)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=folder, env=head.environment(**variables), text=True, **pipes))
        return started[-1]

    yield start
    for driver in started:
        driver.kill()
        driver.communicate()


def wait_for_epochs(count: int, study: StudyFolder, driver: Driver) -> None:
    """Wait until trial 0 has so many."""
    records, deadline = study.trial(0) / "records.jsonl", time.monotonic() + SECONDS
    while not records.is_file() or len(read_records(records)) < count:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)

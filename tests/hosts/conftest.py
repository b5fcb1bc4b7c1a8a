"""A cluster of several hosts that asks for a token, and a study on storage that they share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from raytrainer.config.layout import StudyFolder
from raytrainer.trainer.records import read_records

from .network import Host, make_switch, why_not

PROJECT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).with_name("ray"))
SECONDS = 240
WATCHFUL = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 6}
"""Ray's defaults give a node that does not answer half a minute."""

FITNESS = """
    import os, socket, time

    calls = []

    def fit(metrics):
        calls.append(metrics)
        with open("/mnt/shared/hosts.txt", "a") as file:
            file.write(socket.gethostname() + "\\n")
        while len(calls) > 1 and os.path.exists("/mnt/shared/hold"):
            time.sleep(0.05)
        return 1 + metrics["mAP50"]
"""
"""Tells where it is called: on rank 0, once an epoch. While there is a file `hold`, no second epoch ends."""


class Cluster:
    """A head, and hosts that join it; a driver on the head's host."""

    def __init__(self, shared: Path) -> None:
        self.shared, self.hosts = shared, list[Host]()
        self._left = ExitStack()
        self._switch = make_switch()
        self._left.callback(self._switch.end)
        self._environment = {
            **os.environ, "PYTHONPATH": str(PROJECT), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": f"token-{os.getpid()}",
        }  # fmt: skip

    @property
    def study(self) -> StudyFolder:
        """The one study that is run here."""
        return StudyFolder(self.shared / "runs" / "cells")

    def add(self) -> Host:
        """One more host with a node of one CPU; the first is the head."""
        host = Host(len(self.hosts) + 1, self._switch, self.shared, self._environment)
        self._left.callback(host.end)
        self.hosts.append(host)
        if host is self.hosts[0]:
            role = ["--head", "--port=6379", f"--node-ip-address={host.address}", "--include-dashboard=false"]
            role.append(f"--system-config={json.dumps(WATCHFUL)}")
        else:
            role = [f"--address={self.hosts[0].address}:6379"]
        limits = ["--num-cpus=1", "--object-store-memory=100000000"]
        host.start([RAY, "start", "--block", *role, *limits], self.shared / f"{host.name}.log")
        self.wait(lambda: "until terminated" in (self.shared / f"{host.name}.log").read_text(), "the node is up")
        return host

    def tune(self, space: str) -> subprocess.Popen[bytes]:
        """A driver on the head's host."""
        (self.shared / "cells.yaml").write_text(textwrap.dedent(space))
        command = [sys.executable, str(PROJECT / "tune.py"), "--space", "cells.yaml", "--address", "auto"]
        return self.hosts[0].start(command, self.shared / "driver.txt")

    def finish(self, driver: subprocess.Popen[bytes]) -> str:
        """Wait for its end, and return what it said."""
        self.wait(lambda: driver.poll() is not None, "the driver ends")
        said = (self.shared / "driver.txt").read_text()
        assert driver.returncode == 0, said
        return said

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"in vain until {what}; {self.told()}"
            time.sleep(0.05)

    def told(self) -> str:
        """The ends of all logs."""
        logs = [*self.shared.glob("*.log"), self.shared / "driver.txt", self.study.log]
        return "\n".join(f"{log}\n{log.read_text()[-2000:]}" for log in logs if log.is_file())

    def epochs(self) -> dict[int, list[int]]:
        """The epochs in the record of each trial."""
        folders = sorted(self.study.trials.glob("*"))
        return {int(path.name): [each.epoch for each in read_records(path / "records.jsonl")] for path in folders}

    def ran_on(self) -> list[str]:
        """The host of every epoch that was trained, in the order of time."""
        file = self.shared / "hosts.txt"
        return file.read_text().split() if file.is_file() else []

    def end(self) -> None:
        """End everything on all hosts."""
        self._left.close()


@pytest.fixture
def cluster(tmp_path: Path, bccd: Path) -> Iterator[Cluster]:
    """Has no host yet. The shared folder holds the images as an archive, a model and a fitness."""
    if reason := why_not():
        pytest.skip(reason)
    shared = tmp_path / "shared"
    shared.mkdir()
    shutil.make_archive(str(shared / "cells"), "zip", bccd.parent)
    shutil.copy(PROJECT / "tests" / "models" / "yolo-tiny.yaml", shared)
    (shared / "fit.py").write_text(textwrap.dedent(FITNESS))
    made = Cluster(shared)
    try:
        yield made
    finally:
        made.end()

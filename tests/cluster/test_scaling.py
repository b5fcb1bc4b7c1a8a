"""A study on a cluster whose autoscaler starts nodes when they are asked for: Ray's own, with nodes on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {
    **os.environ,
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
    "RAY_AUTH_MODE": "disabled",
    "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
    "RAY_FAKE_CLUSTER": "1",
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_autoscaler_v2": "1",
}
EMPTY = {key: [] for key in ("cluster_synced_files", "initialization_commands", "setup_commands",
                             "head_setup_commands", "worker_setup_commands", "head_start_ray_commands",
                             "worker_start_ray_commands", "rsync_exclude", "rsync_filter")}  # fmt: skip
SECONDS = 60.0


def configuration(address: str) -> dict[str, Any]:
    """A head without CPUs, and up to two nodes with two each."""
    provider = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
    return {
        **EMPTY,
        "cluster_name": "scaling", "max_workers": 2, "upscaling_speed": 1.0, "idle_timeout_minutes": 1,
        "head_node_type": "ray.head.default", "auth": {}, "docker": {}, "file_mounts": {},
        "file_mounts_sync_continuously": False,
        "provider": {
            "type": "external", "module": provider, "use_node_id_as_ip": True, "disable_node_updaters": True,
            "disable_launch_config_check": True, "launch_multiple": True, "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": address,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 2},
        },
    }  # fmt: skip


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A cluster of a head alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config, said = tmp_path / "autoscaling.json", tmp_path / "head.log"
    config.write_text(json.dumps(configuration(f"127.0.0.1:{port}")))
    with tempfile.TemporaryDirectory(prefix="rt-", ignore_cleanup_errors=True) as short, said.open("w") as log:
        head = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}",
             "--num-cpus=0", f"--temp-dir={short}", "--include-dashboard=false", f"--autoscaling-config={config}"],
            env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_until("Ray runtime started", said, head)
            yield f"127.0.0.1:{port}"
        finally:
            family = [psutil.Process(head.pid), *psutil.Process(head.pid).children(recursive=True)]
            for process in family:
                process.kill()
            psutil.wait_procs(family, SECONDS)


def wait_until(said: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    """The process has said so."""
    deadline = time.monotonic() + SECONDS
    while said not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_nodes_are_started_for_the_trials_that_could_run(address: str, tmp_path: Path) -> None:
    """None is there to begin with; no trial goes on before both are; and one that none of them would hold is told."""
    done = subprocess.run(
        [sys.executable, "-m", "cluster.scaling", address, str(tmp_path)], cwd=tmp_path, env=ENVIRONMENT,
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads((tmp_path / "seen.json").read_text())
    waiting = "a trial asks for 2 CPUs and 0 GPUs: waiting for the node that the cluster's autoscaler starts"
    assert done.stdout.count(waiting) == 1
    assert len({each["node"] for each in told["two nodes"]}) == 2
    assert "a trial asks for 3 CPUs and 0 GPUs, which can never be had" in told["a node of another size"]
    assert told["a node of another size"].endswith("its autoscaler adds none that would hold it")

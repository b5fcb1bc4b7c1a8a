"""Who can reach what a study starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raytrainer.cluster.loopback import REACHABLE, on_loopback
from raytrainer.cluster.session import session

LISTENING = """
import sys
from pathlib import Path
import psutil
from raytrainer.cluster.session import session

with session(None, Path(sys.argv[1]), cpus=1) as starting:
    starting.result()
    import ray
    ray.get(ray.remote(lambda: 1).remote())
    family = {process.pid for process in (psutil.Process(), *psutil.Process().children(recursive=True))}
    for each in psutil.net_connections("inet"):
        if each.status == psutil.CONN_LISTEN and each.pid in family:
            print("LISTENS", each.laddr.ip, psutil.Process(each.pid).name())
"""


def test_every_server_of_a_cluster_of_our_own_is_on_loopback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTENING, tmp_path / "driver.log"], capture_output=True, text=True, timeout=120
    )
    told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("LISTENS")]
    assert {name for _, name in told} >= {"gcs_server", "raylet"}, done.stdout + done.stderr
    assert [pair for pair in told if pair[0].removeprefix("::ffff:") != "127.0.0.1"] == []


def test_a_cluster_that_is_joined_may_be_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import ray_constants, services

    monkeypatch.delenv(REACHABLE, raising=False)
    before = ray_constants.ENABLE_RAY_CLUSTER
    with on_loopback():
        assert services.get_node_ip_address() == "127.0.0.1"
    assert before == ray_constants.ENABLE_RAY_CLUSTER
    assert REACHABLE not in os.environ
    monkeypatch.setenv(REACHABLE, "1")
    with on_loopback():
        assert ray_constants.ENABLE_RAY_CLUSTER


def test_a_cluster_of_our_own_asks_for_its_token(tmp_path: Path) -> None:
    """On by default since Ray 2.60, and nothing here turns it off."""
    import urllib.error
    import urllib.request

    with session(None, tmp_path / "driver.log", cpus=1) as starting:
        address = starting.result().dashboard
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{address}/api/v0/nodes", timeout=30)
    assert refused.value.code in (401, 403)

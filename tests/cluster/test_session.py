"""Starting a cluster, joining one, and failing to."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from raytrainer.cluster.session import session
from raytrainer.config.problems import UserError


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:{port}", "nothing answers there"),
        ("ray://127.0.0.1:{port}", "nothing answers there"),
        ("localhost:99999", "expected auto, local, host:port or ray://host:port"),
        ("nonsense", "expected auto, local, host:port or ray://host:port"),
        ("http://127.0.0.1:{port}", "ray job submit"),
    ],
)
def test_an_address_where_there_is_no_cluster(address: str, why: str, closed_port: int, tmp_path: Path) -> None:
    given = address.format(port=closed_port)
    with pytest.raises(UserError) as error, session(given, tmp_path / "driver.log") as starting:
        starting.result()
    assert f"--address: no Ray cluster can be joined at '{given}': " in str(error.value)
    assert why in str(error.value)


def test_a_cluster_of_our_own_is_ended_with_its_block(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import ray

    with session(None, tmp_path / "driver.log", cpus=1) as starting:
        assert [node["CPU"] for node in starting.result().nodes()] == [1.0]
        assert starting.result().dashboard
        assert ray.is_initialized()
    assert not ray.is_initialized()
    captured = capfd.readouterr()
    assert captured.out == ""


def test_loggers_are_as_they_were(tmp_path: Path) -> None:
    import ray  # noqa: F401  sets its loggers up

    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train")]
    before = [(list(logger.handlers), logger.propagate) for logger in loggers]
    log = tmp_path / "driver.log"
    with session(None, log, cpus=1) as starting:
        starting.result()
        loggers[1].warning("a word")
    loggers[0].warning("another word")
    assert [(logger.handlers, logger.propagate) for logger in loggers] == before
    assert "a word" in log.read_text()
    assert "another" not in log.read_text()
    assert str(log) not in {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}

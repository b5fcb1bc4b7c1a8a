"""A node that is lost costs its trial nothing: it goes on from its last epoch on another, or when the node is back."""

from __future__ import annotations

from typing import Any

import pytest
from cluster.conftest import AddNode, add_node

from faults.conftest import PROJECT, SECONDS, Laboratory, Trained, assert_as_if_nothing_had_happened, running
from raytrainer.search.reading import read_views

__all__ = ["add_node"]

WATCHFUL = {"health_check_period_ms": 500, "health_check_timeout_ms": 500, "health_check_failure_threshold": 4}
"""Ray's defaults give a node that does not answer half a minute."""


@pytest.mark.parametrize("loss", ["removed", "cut off and back"])
def test_lost_and_replaced(
    loss: str, laboratory: Laboratory, undisturbed: list[Any], add_node: AddNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {"PYTHONPATH": str(PROJECT)}
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    address = add_node(num_cpus=0, env_vars=paths, _system_config=WATCHFUL)
    add_node(num_cpus=1, env_vars=paths)
    with running(laboratory.start("--address", address)) as driver:
        laboratory.wait_for_epochs(4, driver)
        trained = Trained(laboratory)
        add_node(**({"remove": 1} if loss == "removed" else {"cut": 1}))
        add_node(num_cpus=1, env_vars=paths)
        if loss == "cut off and back":
            laboratory.wait_for_epochs(7, driver)
            add_node(back=1)
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert all("died" not in view.notes or view.state == "complete" for view in read_views(laboratory.study.path))
    assert loss != "removed" or trained.again() == []
    assert_as_if_nothing_had_happened(laboratory, undisturbed)

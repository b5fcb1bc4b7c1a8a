"""A node that is lost costs its trial nothing: it goes on from its last epoch on another, or when the node is back."""

from __future__ import annotations

from typing import Any

import pytest
from cluster.conftest import AddNode, add_node

from faults.conftest import (
    PROJECT,
    SECONDS,
    Laboratory,
    Trained,
    assert_as_if_nothing_had_happened,
    assert_the_same_study,
    running,
)
from raytrainer.search.reading import read_views

__all__ = ["add_node"]

WATCHFUL = {"health_check_period_ms": 500, "health_check_timeout_ms": 500, "health_check_failure_threshold": 4}
"""Ray's defaults give a node that does not answer half a minute."""


PATHS = {"PYTHONPATH": str(PROJECT)}


@pytest.fixture
def address(add_node: AddNode, monkeypatch: pytest.MonkeyPatch) -> str:
    """A cluster with one node that trains."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    head = add_node(num_cpus=0, env_vars=PATHS, _system_config=WATCHFUL)
    add_node(num_cpus=1, env_vars=PATHS)
    return head


def test_removed_and_removed_and_back(
    address: str, laboratory: Laboratory, undisturbed: list[Any], add_node: AddNode
) -> None:
    """The first is replaced by one that is there already, the second by one that comes when it has gone."""
    with running(laboratory.start("--address", address)) as driver:
        for node, epochs in ((1, 3), (2, 7)):
            laboratory.wait_for_epochs(epochs, driver)
            trained = Trained(laboratory)
            if node == 1:
                add_node(num_cpus=1, env_vars=PATHS)
            add_node(remove=node)
            if node == 2:
                add_node(num_cpus=1, env_vars=PATHS)
            laboratory.wait_for_epochs(epochs + 2, driver)
            assert trained.again() == []
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def test_cut_off_and_back(address: str, laboratory: Laboratory, undisturbed: list[Any], add_node: AddNode) -> None:
    """It is back when its trial goes on elsewhere, and must not write there any more.

    Its processes stand still, as those of a lost host do for everybody else; `tests/hosts` cuts a real network.
    """
    with running(laboratory.start("--address", address)) as driver:
        laboratory.wait_for_epochs(4, driver)
        add_node(cut=1)
        trained = Trained(laboratory)
        add_node(num_cpus=1, env_vars=PATHS)
        laboratory.wait_for_epochs(7, driver)
        add_node(back=1)
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert all("died" not in view.notes or view.state == "complete" for view in read_views(laboratory.study.path))
    assert trained.again() == []
    # Not by the order of all epochs: back, the node ends the one that it was at, and only then sees whose trial it is.
    assert_the_same_study(laboratory, undisturbed)

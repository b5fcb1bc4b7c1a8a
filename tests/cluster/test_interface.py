"""The interface that ranks talk over."""

from __future__ import annotations

import os
import socket

import psutil
import pytest

from raytrainer.cluster.interface import interface_of, talk_over

VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


@pytest.fixture(autouse=True)
def _unchosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", psutil.net_if_addrs())
def test_each_interface_is_found_by_its_address(name: str) -> None:
    for each in psutil.net_if_addrs()[name]:
        assert each.family != socket.AF_INET or interface_of(each.address) == name


def test_an_address_that_is_not_this_machines_leaves_the_choice_open() -> None:
    talk_over("203.0.113.7")
    assert [os.environ.get(name) for name in VARIABLES] == [None, None]


def test_on_loopback_nccl_is_left_alone() -> None:
    talk_over("127.0.0.1")
    assert [os.environ.get(name) for name in VARIABLES] == [interface_of("127.0.0.1"), None]


def test_the_environments_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    talk_over("127.0.0.1")
    assert os.environ["GLOO_SOCKET_IFNAME"] == "ib0"

"""Which network the ranks of a trial talk over: the one by which Ray reaches their nodes."""

from __future__ import annotations

import os

import psutil

LOOPBACK = "127."


def interface_of(address: str) -> str | None:
    """The network interface of this machine that has an address; None if none has, as behind a translation."""
    for name, addresses in psutil.net_if_addrs().items():
        if address in (each.address.partition("%")[0] for each in addresses):
            return str(name)
    return None


def talk_over(address: str) -> None:
    """Let gloo and NCCL use the interface with the address of this node, unless the environment chooses another.

    Left alone, gloo takes the address that the host's name has, which is often 127.0.0.1 or none at all, and the ranks
    of two hosts each look for the other at home; NCCL may take a container's bridge. Must be called before the group is
    made.
    """
    name = interface_of(address)
    if name is None:
        return
    os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    if not address.startswith(LOOPBACK):  # ranks of one machine, for which NCCL needs no network
        os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={name}")

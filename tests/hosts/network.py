"""Hosts on one machine: each has an address, a name and folders of its own, and a cable to a switch that can be pulled.

A host is a network, mount and host-name namespace that a process holds, and nothing of it is left when that has ended.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

TOOLS = ("ip", "unshare", "nsenter", "mount")
NETWORK = "10.77.0"


def why_not() -> str | None:
    """Why there can be no hosts here; None if there can."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)} must be installed (iproute2, util-linux)"
    if os.geteuid():
        return "namespaces are for root only"
    tried = subprocess.run(
        ["unshare", "-n", "-m", "-u", "ip", "link", "add", "x", "type", "bridge"], capture_output=True
    )
    return f"no namespaces here: {tried.stderr.decode().strip()}" if tried.returncode else None


class Namespace:
    """Held by a process that ends with this one, whatever ends it, since its input ends then."""

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds
        command = ["unshare", *kinds, *(["--propagation", "private"] if "-m" in kinds else []), "cat"]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.write(b"entered\n")
        self._holder.stdin.flush()
        self._holder.stdout.readline()
        self.pid = self._holder.pid

    def command(self, *arguments: str) -> list[str]:
        """The same command within."""
        return ["nsenter", *self._kinds, "-t", str(self.pid), *arguments]

    def do(self, *arguments: str) -> str:
        """Run a command within, and return what it prints."""
        return subprocess.run(self.command(*arguments), check=True, capture_output=True, text=True).stdout

    def end(self) -> None:
        """Kill every process within."""
        mine = os.stat(f"/proc/{self.pid}/ns/net").st_ino
        for process in psutil.process_iter():
            try:
                if os.stat(f"/proc/{process.pid}/ns/net").st_ino == mine:
                    process.kill()
            except (OSError, psutil.Error):  # it has ended meanwhile, or is the kernel's
                continue
        self._holder.wait()
        for pipe in (self._holder.stdin, self._holder.stdout):
            assert pipe is not None
            pipe.close()


class Host(Namespace):
    """One host. All share a folder as `/mnt/shared`; the rest of `/mnt`, and `/dev/shm`, are its own."""

    def __init__(self, number: int, switch: Namespace, shared: Path, environment: Mapping[str, str]) -> None:
        super().__init__("-n", "-m", "-u")
        self.name, self.address = f"host-{os.getpid()}-{number}", f"{NETWORK}.{number}"
        self._switch, self._port = switch, f"port{number}"
        self._environment = {
            **environment, "TMPDIR": "/mnt/tmp", "RAY_TMPDIR": "/mnt", "YOLO_CONFIG_DIR": "/mnt/ultralytics",
            "RAYTRAINER_DATA": f"/mnt/data-{number}",
        }  # fmt: skip
        self.do("hostname", self.name)
        self._plug_in()
        for command in (
            "mount -t tmpfs tmpfs /dev/shm",
            "mount -t tmpfs tmpfs /mnt",
            "mkdir /mnt/shared /mnt/tmp /mnt/ultralytics",
            f"mount --bind {shared} /mnt/shared",
        ):
            self.do(*command.split())

    def _plug_in(self) -> None:
        self._switch.do(*f"ip link add {self._port} type veth peer name eth0 netns {self.pid}".split())
        self._switch.do(*f"ip link set {self._port} master switch up".split())
        for command in (
            "ip link set lo up",
            f"ip address add {self.address}/24 dev eth0",
            "ip link set eth0 up",
            "ip route add default dev eth0",  # a host that has none does not know its own address
        ):
            self.do(*command.split())

    def start(self, command: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """Start a process on this host, in the shared folder."""
        with output.open("ab") as file:
            return subprocess.Popen(
                self.command("env", "-C", "/mnt/shared", *command), env=self._environment, stdout=file,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def cut_off(self) -> None:
        """Pull its cable."""
        self._switch.do("ip", "link", "set", self._port, "down")


def make_switch() -> Namespace:
    """What the cables lead to."""
    switch = Namespace("-n")
    switch.do("ip", "link", "add", "switch", "type", "bridge")
    switch.do("ip", "link", "set", "switch", "up")
    return switch

"""A real PostgreSQL and a real Redis from Debian's packages, on loopback, each with a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "p4/ss:w@rd"
QUOTED = "p4%2Fss%3Aw%40rd"


class Server:
    """A server's process, which can be stopped, frozen and started again with what it has on its disk."""

    def __init__(self, command: list[str], folder: Path, port: int, url: str, user: str | None) -> None:
        self._command, self._user, self.folder, self.port, self.url = command, user, folder, port, url
        self.start()

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        with (self.folder / "log").open("wb") as log:
            options = as_user(self._user)
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder, **options)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it as a shut-down of its machine would: connections are cut, and what was committed stays."""
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                if "redis" not in self.url:
                    return b"ready to accept connections" in (self.folder / "log").read_bytes()
                client.sendall(b"PING\r\n")
                return client.recv(5) in (b"+PONG", b"-NOAU")
        except OSError:
            return False


@contextmanager
def postgresql() -> Iterator[Server]:
    """A PostgreSQL whose user `me` has to give a password."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    programs = found[-1].parent if found else needed("postgresql", shutil.which("initdb")).parent
    user = "postgres" if os.getuid() == 0 else None
    with scratch(user) as folder:
        port, secret = free_port(), folder / "secret"
        secret.write_text(PASSWORD)
        made = ["-D", str(folder / "data"), "-U", "me", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]
        secret.chmod(0o644)
        subprocess.run([str(programs / "initdb"), *made], check=True, capture_output=True, cwd=folder, **as_user(user))
        command = [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
        yield from running(command, folder, port, f"postgresql://me:{QUOTED}@127.0.0.1:{port}/postgres", user)


@contextmanager
def redis() -> Iterator[Server]:
    """A Redis that asks for a password and keeps every operation on its disk."""
    program = needed("redis-server", shutil.which("redis-server"))
    with scratch(None) as folder:
        port = free_port()
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--appendonly", "yes", "--save", "", "--requirepass", PASSWORD]
        yield from running(command, folder, port, f"redis://:{QUOTED}@127.0.0.1:{port}/0", None)


def running(command: list[str], folder: Path, port: int, url: str, user: str | None) -> Iterator[Server]:
    server = Server(command, folder, port, url, user)
    try:
        yield server
    finally:
        server.stop()


def needed(package: str, program: str | None) -> Path:
    """The program; without it the test is skipped, which it must not be in CI: `make test` installs it there."""
    if program is not None:
        return Path(program)
    message = f"Debian's package {package} is not installed; `make test` does that as root"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def scratch(owner: str | None) -> Iterator[Path]:
    """A folder that a server's user can reach: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="rt-server-"))
    if owner is not None:
        shutil.chown(folder, owner)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_user(name: str | None) -> dict[str, Any]:
    """Options of a process that gives up being root, as PostgreSQL wants it."""
    return {} if name is None else {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

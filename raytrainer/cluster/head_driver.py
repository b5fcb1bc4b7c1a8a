"""A study's driver on the head of a cluster that is joined through a Ray client.

A driver talks to its trials all the time and keeps their study on the cluster's storage. Through a client each word
would cost a journey, and Ray Tune moves itself to the cluster, where the study could not follow. So the whole driver
does: as a process of the head, which an actor starts, hears and interrupts, since an actor's main thread is Ray's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raytrainer.cluster.address import CLIENT
from raytrainer.cluster.session import RAY_ENVIRONMENT, session
from raytrainer.config.problems import Problem, UserError
from raytrainer.interrupt import Interrupt

HEAD = "node:__internal_head__"
"""The resource that Ray gives the head of a cluster and no other node."""
LENGTH = 8
"""Bytes in which the length of a request is told to the process, before the request."""
WAIT_SECONDS = 0.5
LOST_SECONDS = 15.0
"""How long nobody asks for output until they are taken for gone. Ray gives a lost client twice as much, and then kills
what it has left behind, with all that this has started."""
JOINS = 3
"""How often a cluster is joined at most. Its head has a server of its own for every client, which it forks, and now and
then one dies as it starts; nothing has begun by then."""


class HeadDriver:
    """Runs a program on the node of this actor.

    The program's arguments are the cluster's address and a file that takes its result. Its standard input has the
    request, then a byte for every interrupt, and ends when nobody listens any more: whoever started it is gone.

    Args:
        program: the arguments of Python that run it.
        request: what it is to do.
        secrets: variables for its environment, which should not be seen in Ray's records.
        lost_seconds: how long nobody has listened then.
    """

    def __init__(
        self, program: Sequence[str], request: bytes, secrets: Mapping[str, str], lost_seconds: float = LOST_SECONDS
    ) -> None:
        import ray
        from ray._private.utils import remove_ray_internal_flags_from_env

        self._folder = tempfile.TemporaryDirectory(prefix="raytrainer-head-")
        self._result = Path(self._folder.name) / "result"
        environment = {**os.environ, **RAY_ENVIRONMENT, **secrets, "PYTHONUNBUFFERED": "1"}
        remove_ray_internal_flags_from_env(environment)
        self._process = subprocess.Popen(
            [sys.executable, *program, ray.get_runtime_context().gcs_address, self._result],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
            cwd=self._folder.name,  # nothing that is meant is relative to it
            start_new_session=True,
        )  # fmt: skip
        self._said, self._ended, self._news = b"", False, threading.Condition()
        self._asked, self._lost_seconds = time.monotonic(), lost_seconds
        self._write(len(request).to_bytes(LENGTH, "big") + request)
        for work in (self._listen, self._end_if_nobody_listens):
            threading.Thread(target=work, daemon=True).start()

    def output(self) -> bytes | None:
        """What the process has said since the last call, waiting for it a little; None once it has ended."""
        self._asked = time.monotonic()
        with self._news:
            self._news.wait_for(lambda: self._said or self._ended, WAIT_SECONDS)
            said, self._said = self._said, b""
            return None if self._ended and not said else said

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._write(b"\n")

    def result(self) -> tuple[int, bytes | None]:
        """The process's exit status, and what it wrote as its result."""
        status = self._process.wait()
        return status, self._result.read_bytes() if self._result.is_file() else None

    def _listen(self) -> None:
        assert self._process.stdout is not None
        while said := os.read(self._process.stdout.fileno(), 2**16):
            self._tell(said)
        self._tell(b"")

    def _end_if_nobody_listens(self) -> None:
        while time.monotonic() - self._asked < self._lost_seconds:
            time.sleep(WAIT_SECONDS)
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _tell(self, said: bytes) -> None:
        with self._news:
            self._said, self._ended = self._said + said, not said
            self._news.notify()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()


def drive(
    address: str,
    program: Sequence[str],
    request: bytes,
    secrets: Mapping[str, str],
    say: Callable[[bytes], Any],
    lost_seconds: float = LOST_SECONDS,
) -> tuple[int, bytes | None]:
    """Run a program on the head of a cluster as if it ran here: its output, Ctrl-C and its result go through.

    Args:
        address: `ray://host:port`.
        program: see `HeadDriver`.
        request: see `HeadDriver`.
        secrets: see `HeadDriver`.
        say: takes what it prints.
        lost_seconds: see `HeadDriver`.

    Returns:
        Its exit status and its result, if it came to one.

    Raises:
        UserError: if the cluster cannot be joined, or the connection is lost.
        KeyboardInterrupt: by a second Ctrl-C; the program ends by itself.
    """
    assert address.startswith(CLIENT)
    asked = threading.Event()
    with _joined(address):
        import ray

        try:
            actor = ray.remote(num_cpus=0, resources={HEAD: 0.001})(HeadDriver)
            driver = actor.remote(program, request, secrets, lost_seconds)
            with Interrupt(asked.set):
                while (said := ray.get(driver.output.remote())) is not None:
                    say(said)
                    if asked.is_set():
                        asked.clear()
                        ray.get(driver.interrupt.remote())
            told: tuple[int, bytes | None] = ray.get(driver.result.remote())
        except _losses() as error:
            lost = f"the connection to {address} was lost ({' '.join(str(error).split())[:300]})"
            raise UserError([Problem("--address", None, None, f"{lost}; the same command goes on")]) from error
    return told


@contextmanager
def _joined(address: str) -> Iterator[None]:
    """Join a cluster, and again if the server there that is this client's own dies before it has served."""
    for joins_left in reversed(range(JOINS)):
        with session(address, Path(os.devnull)) as starting:
            starting.result()
            if _serves() or not joins_left:
                yield
                return


def _serves() -> bool:
    """Whether something goes there and comes back."""
    import ray

    try:
        ray.get(ray.put(None))
    except _losses():
        return False
    return True


def _losses() -> tuple[type[Exception], ...]:
    """What a client raises whose connection is lost, depending on what it was doing."""
    from grpc import RpcError
    from ray.exceptions import RayError

    return ConnectionError, RayError, RpcError

"""A study that is asked for here and driven on the head of a cluster: both sides of `--address ray://host:port`.

The space travels with the files that it names and that are here; its dataset and its storage are the cluster's.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrainer.cluster.head_driver import LENGTH, drive
from raytrainer.config.named_files import named_files, renamed
from raytrainer.config.problems import KeyPath, UserError
from raytrainer.config.space import Space
from raytrainer.config.storage import PASSWORD

if TYPE_CHECKING:
    from raytrainer.api import Outcome


@dataclass(frozen=True)
class Request:
    """What is asked of the head."""

    space: Space
    arguments: Mapping[str, Any]
    """Further ones of `run_study`."""
    files: Mapping[KeyPath, tuple[str, bytes]]
    """Name and contents of the files that the space names, by its keys."""


def run_on_head(space: Space, address: str, arguments: Mapping[str, Any]) -> Outcome:
    """`run_study` on the head of the cluster at `address`, with what it prints printed here.

    Args:
        space: as `load_space` gives it.
        address: `ray://host:port`.
        arguments: further ones of `run_study`.

    Raises:
        UserError: as `run_study` does, if the cluster cannot be joined, or if the storage is no absolute path.
        RuntimeError: if the driver there died.
    """
    from ray import cloudpickle

    files = {key: (file.name, file.read_bytes()) for key, file in named_files(space).items()}
    request = cloudpickle.dumps(Request(space.model_copy(update={"source": None}), arguments, files))
    password = space.storage.url.password if space.storage.url else None
    status, result = drive(
        address,
        ["-m", "raytrainer.on_head"],
        request,
        {PASSWORD: password} if password else {},
        sys.stdout.buffer.write,
    )
    told = None if result is None else pickle.loads(result)
    if isinstance(told, BaseException):
        raise told
    if told is None:
        raise RuntimeError(f"the driver on the head of {address} ended with status {status}")
    outcome: Outcome = told
    return outcome


def main(address: str, result: str) -> None:
    """Do what standard input asks for; the outcome, or the user's mistake, goes into a file.

    Args:
        address: of the cluster's GCS server.
        result: the file.
    """
    asked = _read(int.from_bytes(_read(LENGTH), "big"))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # Ray blocks it in its workers, whose child this is
    threading.Thread(target=_hear_interrupts, daemon=True).start()
    from ray import cloudpickle

    from raytrainer.api import run_study
    from raytrainer.cluster.scratch import scratch

    with ExitStack() as stack:
        request: Request = pickle.loads(asked)
        space = _unpacked(request, stack.enter_context(scratch("space-")))
        told: Outcome | BaseException
        try:
            told = run_study(space, address=address, **request.arguments)
        except (UserError, KeyboardInterrupt) as mistake:
            told = mistake
        Path(result).write_bytes(cloudpickle.dumps(told))


def _read(count: int) -> bytes:
    """So many bytes of standard input; fewer at its end. Unbuffered, for a thread that may hang in it at our end."""
    data = b""
    while len(data) < count and (more := os.read(0, count - len(data))):
        data += more
    return data


def _unpacked(request: Request, folder: Path) -> Space:
    """The space with its files, which `run_study` keeps in the study's folder."""
    there = {}
    for key, (name, contents) in request.files.items():
        there[key] = folder / str(key[-1]) / name
        there[key].parent.mkdir()
        there[key].write_bytes(contents)
    return renamed(request.space, there)


def _hear_interrupts() -> None:
    """A byte is a Ctrl-C; the end is that of whoever listens, and asks for a clean end too."""
    while _read(1):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])

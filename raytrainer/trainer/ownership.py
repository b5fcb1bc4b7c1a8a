"""Two processes never write one run: the one that began last owns its folder."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from raytrainer.trainer.atomic import write_bytes
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.handover import OWNER_FILE
from raytrainer.trainer.ranks import is_main


class Superseded(RuntimeError):
    """Another process has taken the run up; this one must not write to its folder any more."""


def claim(folder: Path) -> bytes:
    """Own a run's folder from now on; the token by which its owner is known."""
    token = secrets.token_hex(8).encode()  # not of the random numbers that training draws
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / OWNER_FILE, token)
    return token


def let_go(folder: Path, token: bytes) -> None:
    """Own it no more, if it is still owned by this token."""
    if token and _owner(folder) == token:
        (folder / OWNER_FILE).unlink()


class Ownership(Customisation):
    """Claims the folder on `on_pretrain_routine_end`, if it is not claimed yet, and lets go of it on `on_train_end`.

    A host that the network has lost trains on. Its run goes on elsewhere meanwhile, and when it is back, what it writes
    would overwrite later epochs.
    """

    events: ClassVar[Mapping[str, str]] = {"on_pretrain_routine_end": "_claim", "on_train_end": "_let_go"}
    owner_token = b""
    """What `claim` gave; whoever reads the run's state before it trains has to claim the folder before that."""

    def check_owner(self) -> None:
        """To be called right before something is written.

        Raises:
            Superseded: if another process has claimed the folder since.
        """
        if self.owner_token and _owner(Path(self.save_dir)) != self.owner_token:
            raise Superseded(f"another process goes on with {self.save_dir}, this one leaves it alone")

    def _claim(self) -> None:
        if is_main() and not self.owner_token:
            self.owner_token = claim(Path(self.save_dir))

    def _let_go(self) -> None:
        let_go(Path(self.save_dir), self.owner_token)


def _owner(folder: Path) -> bytes | None:
    try:
        return (folder / OWNER_FILE).read_bytes()
    except FileNotFoundError:
        return None

"""One rank of a trial that trains on several: a Ray actor that stays in its process group from trial to trial."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from raytrainer.cluster.assignment import Assignment, Order, let_go, prepare, training
from raytrainer.cluster.interface import talk_over
from raytrainer.cluster.output import OutputTo
from raytrainer.cluster.training_thread import Event
from raytrainer.trainer.records import EpochRecord


@dataclass(frozen=True)
class Place:
    """Where a rank runs."""

    node: str
    """Ray's identifier."""
    address: str
    """The node's IP address."""
    gpus: tuple[str, ...]
    """Ray's numbers, or identifiers, of those that the rank was given, whole or in part."""


class RankActor:
    """Joins a `torch.distributed` group once and trains one trial after another in it.

    The environment is set before Ultralytics is imported, which reads its ranks only then.
    """

    def __init__(self, assignment: Assignment, rank: int) -> None:
        self._assignment, self._rank = assignment, rank
        self._store: Any = None

    def where(self) -> Place:
        """Where this rank runs."""
        import ray

        gpus = tuple(str(gpu) for gpu in ray.get_gpu_ids())
        return Place(ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), gpus)

    def open_store(self, host: str) -> int:
        """Serve the group's rendezvous from this process; the kernel chooses the port, so nobody can race for it."""
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        self._store = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        return int(self._store.port)

    def join(self, local_rank: int, host: str, port: int, backend: str) -> None:
        """Join the group; returns when every rank has."""
        world = self._assignment.ranks
        os.environ |= {"RANK": str(self._rank), "LOCAL_RANK": str(local_rank), "WORLD_SIZE": str(world)}
        prepare(self._assignment)
        talk_over(self.where().address)
        from torch import distributed
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        store = self._store or TCPStore(host, port, is_master=False)
        distributed.init_process_group(backend, store=store, rank=self._rank, world_size=world)

    def begin(self, order: Order) -> None:
        """Take up a trial; nothing is trained yet."""
        log = self._assignment.folder.trial_log(order.number)
        self._output = OutputTo(log if self._rank == 0 else log.with_name(f"log-rank{self._rank}.txt"))
        self._training = training(self._assignment, order)

    def next(self) -> Event:
        """Train to the end of the next validated epoch; for rank 0, which alone has records."""
        event = self._training.next()
        if not isinstance(event, EpochRecord):
            self._output.close()
        return event

    def follow(self) -> Event:
        """Train along with rank 0 to the end."""
        while isinstance(event := self.next(), EpochRecord):
            pass
        return event

    def let_go(self) -> None:
        """Do what an exit would, before this process is killed."""
        let_go()

    def abandon(self, seconds: float) -> bool:
        """End the training; the other ranks hear of it from the training itself."""
        ended = self._training.abandon(seconds)
        self._output.close()
        return ended

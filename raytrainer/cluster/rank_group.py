"""The ranks of one trial: started together, reused from trial to trial, ended together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.placement_group import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raytrainer.cluster.assignment import Assignment, Order
from raytrainer.cluster.rank_actor import Place, RankActor
from raytrainer.cluster.training_thread import Event, Failed, Finished

LOSS_SECONDS = 5.0
"""How long a failure waits for the news that a rank has died, which would be the cause of it."""

END_SECONDS = 5.0


class RankLost(RuntimeError):
    """A rank's process died; the trial can go on from its checkpoint with new ranks."""


class RankGroup:
    """The rank processes in the bundles of the current placement group, one a bundle."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self.actors: list[Any] = []

    def start(self) -> None:
        """Start the ranks and join them, unless they are up.

        Raises:
            RankLost: if one dies before all have joined.
            NodeUnfit: if the node of one could not be prepared.
        """
        if self.actors:
            return
        self.actors = [self._actor(rank) for rank in range(self._assignment.ranks)]
        try:
            self._join()
        except RayActorError as error:
            self.kill()
            raise RankLost(f"a rank died while the ranks joined: {error}") from error
        except BaseException:
            self.kill()
            raise

    def end(self) -> None:
        """End all ranks, each of which lets go of what would outlive it, if it is idle."""
        if self.actors:
            ray.wait(
                [actor.let_go.remote() for actor in self.actors], num_returns=len(self.actors), timeout=END_SECONDS
            )
        self.kill()

    def kill(self) -> None:
        """End all ranks at once."""
        for actor in self.actors:
            ray.kill(actor)
        self.actors = []

    def _actor(self, rank: int) -> Any:
        strategy = PlacementGroupSchedulingStrategy(get_current_placement_group(), placement_group_bundle_index=rank)
        options = {"num_cpus": self._assignment.cpus, "num_gpus": self._assignment.gpus}
        return ray.remote(RankActor).options(scheduling_strategy=strategy, **options).remote(self._assignment, rank)

    def _join(self) -> None:
        places: list[Place] = ray.get([actor.where.remote() for actor in self.actors])
        host = places[0].address
        port = ray.get(self.actors[0].open_store.remote(host))
        backend = backend_of(places) if self._assignment.on_gpus else "gloo"
        seen: Counter[str] = Counter()
        joins = []
        for actor, place in zip(self.actors, places, strict=True):
            joins.append(actor.join.remote(seen[place.node], host, port, backend))
            seen[place.node] += 1
        ray.get(joins)


def backend_of(places: Sequence[Place]) -> str:
    """What ranks on GPUs talk by: NCCL, unless two share a GPU, which it refuses as "Duplicate GPU detected".

    Source: `init.cc` of NCCL. gloo copies by way of the CPU, but also for DDP and SyncBatchNorm on GPUs.
    """
    taken = Counter((place.node, gpu) for place in places for gpu in place.gpus)
    return "gloo" if max(taken.values(), default=0) > 1 else "nccl"


class GroupTraining:
    """One trial on a group of ranks, seen as one training.

    A rank that raises fails the trial with its reason. A rank whose process died raises `RankLost`. After either the
    other ranks are ended, since they may wait for the lost one for ever.
    """

    def __init__(self, group: RankGroup, order: Order) -> None:
        group.start()
        self._group = group
        self._followers: dict[Any, int] = {}
        self._begun = False
        ray.get([actor.begin.remote(order) for actor in group.actors])

    def next(self) -> Event:
        """Train to the end of the next validated epoch.

        Raises:
            RankLost: if a rank's process died.
        """
        if not self._begun:
            self._begun = True
            self._followers = {actor.follow.remote(): rank for rank, actor in enumerate(self._group.actors) if rank}
        leader = self._group.actors[0].next.remote()
        try:
            event = self._first_news(leader)
            if isinstance(event, Failed):
                self._raise_if_lost([leader, *self._followers])
                self._group.kill()
        except RayActorError as error:
            self._group.kill()
            raise RankLost(f"a rank's process died: {error}") from error
        return event

    def abandon(self, seconds: float) -> bool:
        """End the training on all ranks; ranks that do not end in time are killed, so this always succeeds."""
        if not self._group.actors:
            return True
        try:
            ended = [self._group.actors[0].abandon.remote(seconds)]
            if not self._begun:
                ended += [actor.abandon.remote(seconds) for actor in self._group.actors[1:]]
            waited = [*ended, *self._followers]
            _, late = ray.wait(waited, num_returns=len(waited), timeout=seconds)
            if late or not all(ray.get(ended)):
                self._group.kill()
        except RayActorError:
            self._group.kill()
        return True

    def _first_news(self, leader: Any) -> Event:
        """The leader's event, or the failure of a follower that comes before it."""
        while True:
            ready = ray.wait([leader, *self._followers], num_returns=1)[0][0]
            event: Event = ray.get(ready)
            if ready == leader:
                return event
            rank = self._followers.pop(ready)
            if not isinstance(event, Finished):
                return replace(event, reason=f"rank {rank}: {event.reason}") if isinstance(event, Failed) else event

    def _raise_if_lost(self, calls: list[Any]) -> None:
        """Raise the error of a rank that died, if news of one comes within a few seconds."""
        ready, _ = ray.wait(calls, num_returns=len(calls), timeout=LOSS_SECONDS)
        ray.get(ready)

"""What a study asks of a cluster that may grow: reservations by which an autoscaler knows what trials could be run.

Ray Tune reserves for a trial that it has, and a trial is not suggested before there is room for it. Nodes that start at
none, or could be more, would never be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

MOST = 64
"""Reservations that wait at once. How many nodes are started at a time is the autoscaler's to say."""
RPC_SECONDS = 10.0
HOLDS = "CREATED"
SETTLED = frozenset({HOLDS, "REMOVED"})
"""States in which a reservation waits for nothing. Source: `gcs.proto` of Ray 2.60."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the autoscaler has made of the cluster's reservations when it last looked."""

    refused: frozenset[str]
    """Identifiers of those for which it adds no node."""
    starting: bool
    """Whether nodes are on their way."""


def verdict() -> Verdict | None:
    """None if there is no autoscaler of Ray's second version, or it has not looked yet."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    reply = GcsClient(address=ray.get_runtime_context().gcs_address).get_cluster_status(timeout_s=RPC_SECONDS)
    state = GetClusterStatusReply.FromString(reply).autoscaling_state
    if not state.autoscaler_state_version:
        return None
    # Each is told as `identifier:strategy|state`. Source: `gcs_autoscaler_state_manager.cc` of Ray 2.60.
    refused = frozenset(each.details.partition(":")[0] for each in state.infeasible_gang_resource_requests)
    return Verdict(refused, bool(state.pending_instance_requests or state.pending_instances))


class Demand:
    """Reservations for trials that are to come, each of which becomes a trial's.

    Args:
        reserve: asks Ray for the resources of one trial.
    """

    def __init__(self, reserve: Callable[[], PlacementGroup]) -> None:
        self._reserve = reserve
        self._waiting: list[PlacementGroup] = []
        self._owed: list[PlacementGroup] = []

    def want(self, count: int) -> None:
        """Let so many wait, but only one where the autoscaler adds nothing for them, as on a cluster that is fixed.

        Those of trials that have no resources yet count among them, and do not compete with others for a node: Ray
        would give it to the younger one, which nobody may ever take.
        """
        self._owed = [group for group in self._owed if _state(group) not in SETTLED]
        count = max(0, min(count, MOST) - len(self._owed))
        if count > 1 and (not self._waiting or self.refused(verdict())):
            count = 1
        while len(self._waiting) > count:
            remove_placement_group(self._waiting.pop())
        self._waiting += [self._reserve() for _ in range(count - len(self._waiting))]

    def take(self) -> PlacementGroup:
        """One that is a trial's from now on: one that holds its resources, or has waited longest, or else a new one."""
        held = next((n for n, group in enumerate(self._waiting) if _holds(group)), 0)
        self._owed.append(self._waiting.pop(held) if self._waiting else self._reserve())
        return self._owed[-1]

    @property
    def ready(self) -> bool:
        """Whether one holds its resources."""
        return any(_holds(group) for group in self._waiting)

    def refused(self, verdict: Verdict | None) -> bool:
        """Whether the autoscaler adds no node for any of them."""
        return verdict is not None and all(group.id.hex() in verdict.refused for group in self._waiting)

    def __getstate__(self) -> dict[str, Any]:
        """Ray puts what trials reserve into snapshots that nobody reads."""
        return {}


def _holds(group: PlacementGroup) -> bool:
    return _state(group) == HOLDS


def _state(group: PlacementGroup) -> str:
    return str(placement_group_table(group).get("state", "REMOVED"))

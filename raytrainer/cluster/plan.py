"""How much a trial takes and how many run at once, or why the cluster can never hold one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raytrainer.config.problems import Problem, UserError
from raytrainer.config.space import Space

TRIALS_A_NODE = 8
"""Without GPUs a node's CPUs are shared by at most so many trials, since each also takes gigabytes of memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one trial reserves and how many fit."""

    cpus: float
    gpus: float
    concurrent: int

    @property
    def threads(self) -> int:
        """Threads of torch in a trial."""
        return max(1, int(self.cpus))


def plan(space: Space, nodes: Sequence[Mapping[str, float]]) -> Plan:
    """Settle the resources of a trial against the cluster's nodes, each a mapping such as `{"CPU": 16, "GPU": 2}`.

    Raises:
        UserError: if no node can ever hold one trial; it says what was asked for and what the nodes have.
    """
    gpus = _gpus(space, nodes)
    cpus = space.resources.cpus or _share(nodes, gpus)
    room = sum(_fits(node, cpus, gpus) for node in nodes)
    if not room:
        raise _too_much(space, cpus, gpus, nodes)
    most = space.resources.max_concurrent or room
    return Plan(cpus, gpus, max(1, min(room, most, space.search.trials)))


def _gpus(space: Space, nodes: Sequence[Mapping[str, float]]) -> float:
    asked = space.resources.gpus
    if asked == "auto":
        return float(any(node.get("GPU", 0) >= 1 for node in nodes))
    return float(asked)


def _share(nodes: Sequence[Mapping[str, float]], gpus: float) -> float:
    """CPUs for a trial when none were asked for: a GPU's share of its node, or an eighth of a node without GPUs."""
    if gpus:
        shares = [node["CPU"] * gpus / node["GPU"] for node in nodes if node.get("GPU", 0) >= gpus and node.get("CPU")]
    else:
        shares = [node["CPU"] / TRIALS_A_NODE for node in nodes if node.get("CPU")]
    return max(1.0, float(int(min(shares, default=1.0))))


def _fits(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    by_cpu = int(node.get("CPU", 0) / cpus)
    return min(by_cpu, int(node.get("GPU", 0) / gpus + 1e-9)) if gpus else by_cpu


def _too_much(space: Space, cpus: float, gpus: float, nodes: Sequence[Mapping[str, float]]) -> UserError:
    has = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
    message = f"a trial asks for {cpus:g} CPUs and {gpus:g} GPUs, but no node can ever hold it: the cluster has {has}"
    return UserError([Problem(str(space.source) if space.source else None, None, "resources", message)])

"""How much a trial takes and how many run at once, or why the cluster can never hold one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from raytrainer.config.problems import UserError, counted
from raytrainer.config.space import Space

TRIALS_A_NODE = 8
"""Without GPUs a node's CPUs are shared by at most so many trials, since each also takes gigabytes of memory."""

Node = Mapping[str, float]
"""What a node has in all, such as `{"CPU": 16, "GPU": 2}`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one trial reserves and how many fit."""

    cpus: float
    """CPUs of a rank."""
    gpus: float
    """GPUs of a rank."""
    ranks: int
    """Processes that train one trial together."""
    concurrent: int
    """Trials at once."""
    spread: str = "pack"
    """Whether the ranks are placed on as few nodes as possible, `pack`, or on as many, `spread`."""

    @property
    def threads(self) -> int:
        """Threads of torch in a rank."""
        return max(1, int(self.cpus))


def plan(space: Space, nodes: Sequence[Node]) -> Plan:
    """Settle the resources of a trial against the cluster's nodes.

    The CPUs and GPUs of a trial are shared by its ranks. A trial of several GPUs has a rank for each, if none were
    asked for.

    Raises:
        UserError: as `of_a_trial`, or if the cluster can never hold one trial; it says what was asked for and what the
            nodes have.
    """
    asked = of_a_trial(space, nodes)
    if not room(asked, nodes):
        raise too_much(space, asked, nodes)
    return replace(asked, concurrent=at_once(space, asked, nodes))


def of_a_trial(space: Space, nodes: Sequence[Node]) -> Plan:
    """What one trial reserves, whether or not a node holds it.

    Raises:
        UserError: if the GPUs cannot be shared by the ranks, or GPU-hours are bounded and it reserves no GPU.
    """
    gpus = _gpus(space, nodes)
    if not gpus and space.search.budget.gpu_hours is not None:
        message = "no trial reserves a GPU here, so none would ever be spent: bound cpu_hours, epochs or wall"
        raise UserError([space.problem(("search", "budget", "gpu_hours"), message)])
    cpus = space.resources.cpus_of_rank or _share(nodes, gpus)
    return Plan(cpus, gpus, space.resources.world_size, 0, space.resources.spread)


def at_once(space: Space, asked: Plan, nodes: Iterable[Node]) -> int:
    """Trials at once on these nodes; one if none fits, which then waits for a node."""
    fitting = room(asked, nodes)
    return max(1, min(fitting, space.resources.max_concurrent or fitting, space.search.most_trials or fitting))


def room(asked: Plan, nodes: Iterable[Node]) -> int:
    """How many trials these nodes hold at once."""
    return sum(_fits(node, asked.cpus, asked.gpus) for node in nodes) // asked.ranks


def _gpus(space: Space, nodes: Sequence[Node]) -> float:
    """GPUs of one rank."""
    share = space.resources.gpus_of_rank
    if share is None:
        return float(space.train.get("device") is None and any(node.get("GPU", 0) >= 1 for node in nodes))
    if share > 1:
        asked = f"{space.resources.gpus:g} GPUs cannot be shared by {space.resources.world_size} ranks"
        message = f"{asked}: expected one GPU, or a fraction of one, a rank"
        raise UserError([space.problem(("resources", "gpus"), message)])
    return share


def _share(nodes: Sequence[Node], gpus: float) -> float:
    """CPUs for a rank when none were asked for: a GPU's share of its node, or an eighth of a node without GPUs."""
    if gpus:
        shares = [node["CPU"] * gpus / node["GPU"] for node in nodes if node.get("GPU", 0) >= gpus and node.get("CPU")]
    else:
        shares = [node["CPU"] / TRIALS_A_NODE for node in nodes if node.get("CPU")]
    return max(1.0, float(int(min(shares, default=1.0))))


def _fits(node: Node, cpus: float, gpus: float) -> int:
    """How many ranks a node holds. A GPU is never shared by parts of two, so fractions are counted on each."""
    by_cpu = int(node.get("CPU", 0) / cpus + 1e-9)
    return min(by_cpu, int(node.get("GPU", 0)) * int(1 / gpus + 1e-9)) if gpus else by_cpu


def in_words(asked: Plan) -> str:
    """What one trial reserves: `2 ranks with 4 CPUs and 1 GPU each`."""
    each = _amounts(asked.cpus, asked.gpus)
    return f"{asked.ranks} ranks with {each} each" if asked.ranks > 1 else each


def too_much(space: Space, asked: Plan, nodes: Sequence[Node], more: str = "") -> UserError:
    """The error of a cluster whose nodes can never hold a trial, with `more` to say about them."""
    has = "; ".join(_amounts(node.get("CPU", 0), node.get("GPU", 0)) for node in nodes)
    message = f"a trial asks for {in_words(asked)}, which can never be had: the cluster's nodes have {has}{more}"
    return UserError([space.problem(("resources",), message)])


def _amounts(cpus: float, gpus: float) -> str:
    return f"{counted(cpus, 'CPU')} and {counted(gpus, 'GPU')}"

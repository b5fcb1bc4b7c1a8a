"""Nodes that could not be prepared: trials are placed elsewhere, and the study ends if there is nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup, placement_group

from raytrainer.cluster.demand import Demand
from raytrainer.cluster.plan import Node, Plan, room
from raytrainer.config.problems import Problem, UserError
from raytrainer.search.deaths import NODE_UNFIT

NODE_ID = "ray.io/node-id"
"""The label with its identifier that Ray gives every node."""
TOLD = re.compile(rf"node (?P<address>\S+) \((?P<id>[0-9a-f]+)\) {NODE_UNFIT}: (?P<why>.*)")


class UnfitNodes(tune.Callback):  # type: ignore[misc]
    """Hears of them by the trials that they ended, which go on elsewhere.

    Args:
        plan: what a trial needs.
        tell: takes one line about each, once.
    """

    def __init__(self, plan: Plan, tell: Callable[[str], None]) -> None:
        self._plan, self._tell = plan, tell
        self.reasons: dict[str, str] = {}
        """Address and reason by identifier."""

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        self._read(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        self._read(trial)

    def none_left(self) -> UserError | None:
        """The reason to end the study: no other node holds a trial. None as long as one does."""
        if not self.reasons or room(self._plan, self.others()):
            return None
        return UserError(
            [Problem(None, None, None, f"no node is left for a trial: {'; '.join(self.reasons.values())}")]
        )

    def others(self) -> list[Node]:
        """What the nodes have that are alive and not among them."""
        alive = (node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in self.reasons)
        return [node["Resources"] for node in alive]

    def __getstate__(self) -> dict[str, Any]:
        """Ray puts callbacks into snapshots that nobody reads."""
        return {}

    def _read(self, trial: Trial) -> None:
        file = Path(trial.error_file) if trial.error_file else None
        if file is None or not file.is_file():
            return
        for found in TOLD.finditer(file.read_text(encoding="utf-8", errors="replace")):
            if found["id"] not in self.reasons:
                self.reasons[found["id"]] = f"node {found['address']}: {found['why']}"
                self._tell(f"{self.reasons[found['id']]}; trials go elsewhere")


class Bundles(PlacementGroupFactory):  # type: ignore[misc]
    """The bundles of a trial, on nodes that are fit.

    Two are equal if their bundles are, whichever nodes they avoid, so that processes are reused all the same.
    """

    def __init__(self, bundles: Sequence[dict[str, float]], strategy: str, unfit: UnfitNodes) -> None:
        super().__init__(list(bundles), strategy=strategy)
        self._unfit, self._avoided = unfit, ""
        self.demand = Demand(self._reserve)

    @classmethod
    def of(cls, plan: Plan, unfit: UnfitNodes) -> Bundles:
        """One bundle a rank. With several, the trial's own process only waits for them and reserves nothing."""
        rank = {"CPU": plan.cpus, "GPU": plan.gpus}
        return cls([rank] if plan.ranks == 1 else [{}, *[rank] * plan.ranks], plan.spread.upper(), unfit)

    def to_placement_group(self) -> PlacementGroup:
        """The resources of a trial; called by Ray whenever one needs new ones."""
        if self._avoided != ",".join(self._unfit.reasons):
            self.demand.want(0)  # they may be on a node that is unfit
        return self.demand.take()

    def _reserve(self) -> PlacementGroup:
        self._avoided = avoided = ",".join(self._unfit.reasons)
        selectors = [{NODE_ID: f"!in({avoided})"}] * len(self.bundles) if avoided else None
        return placement_group(self.bundles, self.strategy, bundle_label_selector=selectors)

    def __deepcopy__(self, memo: dict[int, Any]) -> Bundles:
        """The same nodes are avoided by all trials, and later ones as well."""
        return self

"""How many trials run at once follows the cluster: nodes join and go while a study runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from raytrainer.cluster.plan import Node, Plan, at_once, room
from raytrainer.config.space import Space

SECONDS = 2.0
"""How often the cluster is looked at."""


class Capacity(tune.Callback):  # type: ignore[misc]
    """Counts again what fits, as long as the study runs.

    Args:
        space: says how many trials may run at once, at most.
        plan: what a trial reserves.
        nodes: tells the nodes that trials may be placed on.
        limit: takes the number of trials at once, whenever it is another one.
        more: takes how many trials the nodes hold, to ask for more of them.
    """

    def __init__(
        self,
        space: Space,
        plan: Plan,
        nodes: Callable[[], Iterable[Node]],
        limit: Callable[[int], object],
        more: Callable[[int], object] | None = None,
    ) -> None:
        self._space, self._plan, self._nodes, self._limit, self._more = space, plan, nodes, limit, more
        self._told = plan.concurrent
        self._looked = time.monotonic()

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:  # noqa: ARG002
        if time.monotonic() - self._looked < SECONDS:
            return
        self._looked = time.monotonic()
        nodes = list(self._nodes())
        if (now := at_once(self._space, self._plan, nodes)) != self._told:
            self._told = now
            self._limit(now)
        if self._more is not None:
            self._more(room(self._plan, nodes))

    def __getstate__(self) -> dict[str, Any]:
        """Ray puts callbacks into snapshots that nobody reads."""
        return {}

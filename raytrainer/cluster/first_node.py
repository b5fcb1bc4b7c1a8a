"""A study on a cluster that has no node for its trials yet: its autoscaler is asked for one before anything begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from raytrainer.cluster.plan import Node, Plan, in_words, of_a_trial, plan, room, too_much
from raytrainer.config.space import Space

if TYPE_CHECKING:
    from raytrainer.cluster.session import Session

LOOK_SECONDS = 0.5
ANSWER_SECONDS = 20.0
"""An autoscaler looks every 5 s; a cluster where none has by then has none."""


def plan_or_wait(space: Space, cluster: Session, tell: Callable[[str], None]) -> Plan:
    """The plan of a study; if no node of the cluster holds a trial, once the autoscaler has added one that does.

    Args:
        space: what is asked for.
        cluster: the one that Ray is connected to.
        tell: takes a line about what is waited for.

    Raises:
        UserError: as `plan` does, if there is no autoscaler, or if it adds no node that would hold a trial.
    """
    nodes = cluster.nodes()
    asked = of_a_trial(space, nodes)
    if not cluster.own and not room(asked, nodes):
        _wait(space, asked, nodes, tell)
    return plan(space, cluster.nodes())


def _wait(space: Space, asked: Plan, nodes: Sequence[Node], tell: Callable[[str], None]) -> None:
    from raytrainer.cluster.demand import verdict
    from raytrainer.cluster.unfit_nodes import Bundles, UnfitNodes

    demand = Bundles.of(asked, UnfitNodes(asked, tell)).demand
    demand.want(1)
    begun, told = time.monotonic(), False
    try:
        while not demand.ready:
            time.sleep(LOOK_SECONDS)
            said = verdict()
            if said is None and time.monotonic() - begun > ANSWER_SECONDS:
                raise too_much(space, asked, nodes)
            if demand.refused(said):
                raise too_much(space, asked, nodes, "; its autoscaler adds none that would hold it")
            if said is not None and said.starting and not told:
                told = True
                tell(f"a trial asks for {in_words(asked)}: waiting for the node that the cluster's autoscaler starts")
    finally:
        demand.want(0)

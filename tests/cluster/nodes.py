"""A Ray cluster of several nodes on this machine: `python nodes.py FOLDER`.

Each line of its input is a node to add, as JSON arguments of `ray.cluster_utils.Cluster.add_node`, the head first, or
`{"remove": number}`, `{"cut": number}` or `{"back": number}`: all processes of a node that is cut off stand still, as
those of a host that the network has lost do for everybody else. Each line is answered with the cluster's address. At
the input's end the cluster ends.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

import psutil


def main() -> None:
    """Do what the input says."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    nodes = []
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "remove" in order:
                cluster.remove_node(nodes[order["remove"]], allow_graceful=False)
            elif "cut" in order:
                send(nodes[order["cut"]], signal.SIGSTOP)
            elif "back" in order:
                send(nodes[order["back"]], signal.SIGCONT)
            else:
                nodes.append(cluster.add_node(include_dashboard=False, **order))
            print(cluster.address, flush=True)
    finally:
        cluster.shutdown()


def send(node: Any, number: signal.Signals) -> None:
    """A signal to every process of a node, workers before the raylet that watches them."""
    raylets = [psutil.Process(info.process.pid) for info in node.all_processes["raylet"]]
    for process in [*(child for raylet in raylets for child in raylet.children(recursive=True)), *raylets]:
        process.send_signal(number)


if __name__ == "__main__":
    main()

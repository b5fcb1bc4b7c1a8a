"""A Ray cluster of several nodes on this machine: `python nodes.py FOLDER`.

Each line of its input is a node to add, as JSON arguments of `ray.cluster_utils.Cluster.add_node`, the head first, or
`{"remove": number}`. Each is answered with the cluster's address. At the input's end the cluster ends.
"""

from __future__ import annotations

import json
import sys


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
            else:
                nodes.append(cluster.add_node(include_dashboard=False, **order))
            print(cluster.address, flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()

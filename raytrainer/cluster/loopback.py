"""A cluster of this machine alone is heard by this machine alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

REACHABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's own switch, whatever its name: with 0 a node is at 127.0.0.1 and all of its servers listen there, as Ray does
by default on other systems than Linux. `ray.init` has nothing of the kind; it turns 127.0.0.1 into a public address."""


@contextmanager
def on_loopback() -> Iterator[None]:
    """Lets a cluster that is started within listen on loopback only, unless the environment says otherwise."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(REACHABLE)
    asked = os.environ.setdefault(REACHABLE, "0")  # what Ray starts reads the variable, this process has read it
    ray_constants.ENABLE_RAY_CLUSTER = asked.lower() in ("1", "true")
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before[0]
        if before[1] is None:
            del os.environ[REACHABLE]

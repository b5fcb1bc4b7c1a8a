"""The nodes of a cluster are sent this package; what is installed there, if anything is, does not matter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .conftest import SECONDS, Head

IMPORT = """
import json, sys
from pathlib import Path

import ray

def versions():
    import raytrainer.cluster.trial
    return raytrainer.version.__version__, raytrainer.__file__

def seen():
    try:
        return ray.get(ray.remote(versions).remote())
    except ray.exceptions.RayTaskError as error:
        return str(error).splitlines()[-1]

if sys.argv[2] == "alone":
    ray.init(sys.argv[1], configure_logging=False)
    print(json.dumps(seen()))
else:
    from raytrainer.cluster.session import session
    with session(sys.argv[1], Path("/dev/null")) as starting:
        starting.result()
        print(json.dumps(seen()))
"""


@pytest.mark.parametrize("by_client", [False, True])
def test_the_package_is_sent(by_client: bool, head: Head) -> None:
    from raytrainer.version import __version__

    version, file = seen(head, head.client if by_client else head.address, "shipped")
    assert version == __version__
    assert str(head.folder) in file


def test_without_it_the_node_has_another(head: Head) -> None:
    """Or the test above would show nothing."""
    assert "an older version" in seen(head, head.client, "alone")


def seen(head: Head, address: str, how: str) -> str | list[str]:
    """What a process of the cluster says of the package."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, address, how], env=head.environment(), capture_output=True, text=True,
        timeout=SECONDS, cwd=head.folder,  # Ray lets workers find what lies in a driver's working folder
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told: str | list[str] = json.loads(done.stdout.splitlines()[-1])
    return told

"""What is sent to the nodes of a cluster that is joined: this package, which they may lack, or have an older one of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import raytrainer
from raytrainer.cluster.address import JOB


def runtime_environment() -> dict[str, Any]:
    """Ray's runtime environment for the processes of a study on a cluster that was there before.

    The package comes before one that is installed there; what it needs, such as torch, has to be. The space travels
    with the trials, and the files that it names lie in the study's folder (see `gathered`). A submitted job whose own
    environment has modules keeps them, since Ray takes one or the other.
    """
    job = json.loads(os.environ.get(JOB, "{}")).get("runtime_env") or {}
    if "py_modules" in job:
        return {}
    return {"py_modules": [str(Path(raytrainer.__file__).parent)], "excludes": ["__pycache__"]}

"""What is sent to the nodes of a cluster that is joined: this package, which they may lack, or have an older one of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import raytrainer
from raytrainer.cluster.address import CLIENT, JOB
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space


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


def check_storage(space: Space, address: str) -> None:
    """A study is kept where it is driven, which is not always here.

    Raises:
        UserError: if the folder of studies is relative to one that is not here, or does not last.
    """
    if Path(space.storage.folder).is_absolute():
        return
    if address.startswith(CLIENT):
        why = "with ray:// the study is kept on the cluster"
    elif JOB in os.environ:
        why = "the working folder of a submitted job is a copy, which Ray removes"
    else:
        return
    message = f"expected an absolute path on storage that all nodes share, got '{space.storage.folder}': {why}"
    raise UserError([space.problem(("storage",), message)])

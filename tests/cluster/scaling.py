"""Studies on a cluster that begins without a node for trials: `python -m cluster.scaling ADDRESS FOLDER`.

Prints what was told and seen, as `placing.py` does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from raytrainer.cluster.session import RAY_ENVIRONMENT

from .placing import seen

CASES = {
    "two nodes": {"trials": 2, "gpus": 0, "cpus": 2, "joined": True},
    "a node of another size": {"gpus": 0, "cpus": 3},
}


def main(address: str, folder: Path) -> dict[str, Any]:
    """Run every case."""
    os.environ.update(RAY_ENVIRONMENT)
    import ray

    ray.init(address=address, log_to_driver=False)
    return seen(folder, CASES)


if __name__ == "__main__":
    from cluster import scaling

    (Path(sys.argv[2]) / "seen.json").write_text(json.dumps(scaling.main(sys.argv[1], Path(sys.argv[2]))))

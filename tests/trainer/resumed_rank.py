"""One rank of runs that are interrupted: as `one_rank.py`, for runs with `model`, `train`, `settings`, `folder` and
`stops`, the epochs after which a run is abandoned and taken up again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from trainer.one_rank import main


def train(job: dict[str, Any], _rank: int) -> dict[str, Any]:
    """Train through all interruptions; the epochs that were told, and what each `train` gave."""
    from raytrainer.config.assemble import TrialConfig
    from raytrainer.config.settings import Settings
    from trainer.runs import train_through

    config = TrialConfig(job["model"], job["train"], Settings(**job["settings"]), {})
    told: list[int] = []
    result = train_through(config, Path(job["folder"]), job["stops"], told)
    return {"told": told, "records": [record.epoch for record in result.records]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), train)

"""One rank of the conformance table: as `one_rank.py`, for rows as `conformance_run.train_row` has them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from trainer.one_rank import main


def train(job: dict[str, Any], _rank: int) -> dict[str, Any]:
    """Train one row; what it imports may be imported only now, when the rank's environment is set."""
    from trainer.conformance_run import train_row

    return train_row(job)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), train)

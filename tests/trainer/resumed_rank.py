"""One rank of a run that is interrupted: `python resumed_rank.py CONFIG FOLDER STOPS RANK WORLD_SIZE PORT`.

CONFIG is a JSON file with `model`, `train` and `settings`; STOPS are epochs after which the run is abandoned and taken
up again, separated by commas. What the rank's `train` calls gave is written to `rank<RANK>.json` in FOLDER.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path


def main(config: Path, folder: Path, stops: list[int], rank: int, world_size: int, port: int) -> None:
    """Join the group, train through all interruptions."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    from torch import distributed

    distributed.init_process_group("gloo", timeout=timedelta(seconds=120))
    from raytrainer.config.assemble import TrialConfig
    from raytrainer.config.settings import Settings
    from raytrainer.trainer.records import EpochRecord
    from raytrainer.trainer.run import StopTraining, train

    asked = json.loads(config.read_text())
    trial = TrialConfig(asked["model"], asked["train"], Settings(**asked["settings"]), {})
    left, seen, ends = set(stops), [], []

    def on_epoch(record: EpochRecord) -> None:
        seen.append(record.epoch)
        shutil.copy(folder / "weights" / "state.pt", folder / "last_state.pt")
        if record.epoch in left:
            left.remove(record.epoch)
            raise StopTraining

    while len(ends) <= len(stops):
        try:
            result = train(trial, folder, threads=1, on_epoch=on_epoch)
            ends.append([record.epoch for record in result.records])
        except StopTraining:
            ends.append("stopped")
    (folder / f"rank{rank}.json").write_text(json.dumps({"seen": seen, "ends": ends}))
    distributed.destroy_process_group()


if __name__ == "__main__":
    paths, numbers = sys.argv[1:3], sys.argv[4:7]
    epochs = [int(epoch) for epoch in sys.argv[3].split(",") if epoch]
    main(Path(paths[0]), Path(paths[1]), epochs, *(int(number) for number in numbers))

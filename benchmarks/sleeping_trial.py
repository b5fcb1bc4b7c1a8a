"""A trial that sleeps through its epochs and keeps a log of them, for watching what becomes of it when it is killed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.result import DONE

EPOCH_SECONDS = 0.3


def quality(params: dict[str, float], epoch: int) -> float:
    """A made-up fitness that rises with the epoch."""
    return epoch * (1 + params["lr0"])


class SleepingTrial(tune.Trainable):  # type: ignore[misc]
    """As a trial of this tuner: its state lies in a file of its own, and it replays what it had reported."""

    folder: Path
    epochs: int

    def setup(self, config: dict[str, Any]) -> None:
        """Take up the first trial."""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up another trial."""
        self._number, self._params, self._epoch = new_config["number"], new_config["params"], 0
        return True

    def step(self) -> dict[str, Any]:
        """The next epoch, or the record of one that was finished before."""
        self._epoch += 1
        state = self.folder / f"state-{self._number}"
        if self._epoch > (int(state.read_text()) if state.is_file() else 0):
            time.sleep(EPOCH_SECONDS)
            partial = state.with_suffix(".partial")
            partial.write_text(str(self._epoch))
            partial.replace(state)
            keep_log(self.folder, str(self._number), self._epoch)
        return {"epoch": self._epoch, "fitness": quality(self._params, self._epoch), DONE: self._epoch == self.epochs}


class CheckpointedTrial(tune.Trainable):  # type: ignore[misc]
    """The same as Ray has it: its state lies in Ray's checkpoints."""

    folder: Path
    epochs: int

    def setup(self, config: dict[str, Any]) -> None:
        """Take up the first trial."""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up another trial."""
        self._params, self._epoch = new_config, 0
        return True

    def step(self) -> dict[str, Any]:
        """The next epoch."""
        time.sleep(EPOCH_SECONDS)
        self._epoch += 1
        keep_log(self.folder, str(self._params["lr0"]), self._epoch)
        return {"epoch": self._epoch, "fitness": quality(self._params, self._epoch), DONE: self._epoch == self.epochs}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keep the epoch."""
        (Path(checkpoint_dir) / "epoch").write_text(str(self._epoch))

    def load_checkpoint(self, checkpoint: str) -> None:
        """Go on at the epoch that was kept."""
        self._epoch = int((Path(checkpoint) / "epoch").read_text())


def keep_log(folder: Path, trial: str, epoch: int) -> None:
    """Append an epoch that has ended."""
    with (folder / "epochs").open("a") as file:
        file.write(f"{trial} {epoch} {time.time()}\n")

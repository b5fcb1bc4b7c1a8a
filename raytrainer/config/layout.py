"""Where a study keeps what: the one place that knows the names of its files and folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILES = "files"
MEASURED_FILE = "measured.json"
"""In the folder of a run: what it took for the measurements of its architecture."""


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The folder of one study, `<storage>/<name>/`. Nothing is created by asking for a path."""

    path: Path

    @property
    def space(self) -> Path:
        """The resolved space file."""
        return self.path / "space.yaml"

    @property
    def journal(self) -> Path:
        """The Optuna study: trials, parameters, epoch values, states, reasons of failures."""
        return self.path / "study.journal"

    @property
    def log(self) -> Path:
        """What Ray and Ultralytics print in the driver's process."""
        return self.path / "driver.log"

    @property
    def mark(self) -> Path:
        """What the present driver wrote, by which a node knows that it sees the same folder."""
        return self.path / ".driver"

    @property
    def files(self) -> Path:
        """Copies of what the space names, in a folder for each key: on a cluster, `files/model/yolo-tiny.yaml`."""
        return self.path / FILES

    @property
    def best(self) -> Path:
        """The folder of `best.pt` and `best.yaml`."""
        return self.path / "best"

    @property
    def front(self) -> Path:
        """The folder of what the trials on the front of several objectives gave: `0007.pt` and `0007.yaml`."""
        return self.path / "front"

    @property
    def measured(self) -> Path:
        """The folder of what was measured of architectures, a file each."""
        return self.path / "measured"

    @property
    def trials(self) -> Path:
        """The folder of the trials' folders."""
        return self.path / "trials"

    def trial(self, number: int) -> Path:
        """The folder of one trial, named by its number in the study: `trials/0007`."""
        return self.trials / f"{number:04d}"

    def records(self, number: int) -> Path:
        """What a trial reported, epoch by epoch."""
        return self.trial(number) / "records.jsonl"

    def holdings(self, number: int) -> Path:
        """How long its processes have held a trial's resources."""
        return self.trial(number) / "holdings.jsonl"

    def trial_log(self, number: int) -> Path:
        """Everything that a trial's process printed while it ran that trial."""
        return self.trial(number) / "log.txt"

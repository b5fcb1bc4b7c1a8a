"""best.yaml: everything that is needed to train a trial again, and to notice when it will not come out the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from raytrainer.config.layout import MEASURED_FILE
from raytrainer.config.objectives import Goal
from raytrainer.config.parameters import Scalar
from raytrainer.config.problems import Problem, UserError, suggest
from raytrainer.config.yaml_lines import dump_yaml, read_yaml
from raytrainer.trainer.atomic import write_bytes

PATHS_IN_TRAIN = ("data", "pretrained", "cfg")
"""Ultralytics arguments that may name a file."""


class DatasetRecord(BaseModel):
    """The dataset as it was when the trial ran."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    """sha256 over the contents of the labels and the names and sizes of the images."""
    names: dict[int, str]
    train_images: int
    val_images: int


class StudyRecord(BaseModel):
    """Where the configuration was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    trial: int
    state: str
    trials: int
    """How many trials the study had when this was written."""


class StageRecord(BaseModel):
    """Values that come into force while the training goes on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: Annotated[int, Field(ge=2)]
    """The first one that is trained with them, counted from 1; the training is resumed there, from its checkpoint."""
    trial: int
    """Whose checkpoint of the epoch before it went on from in the study."""
    values: dict[str, Scalar]
    """By name, as under `space:`, what changes; everything else stays as it was."""


class BestFile(BaseModel):
    """The contents of best.yaml. Paths are absolute, or relative to the file's own folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    data: str
    fitness: Goal
    subject_to: list[str] = []
    train: dict[str, Any]
    """Ultralytics arguments, fixed and searched ones together."""
    trainer: dict[str, Any]
    """Settings of the composed trainer that differ from the stock trainer, searched ones included."""
    params: dict[str, Scalar]
    """What the search chose; to begin with, if there is a schedule."""
    schedule: list[StageRecord] = []
    """Values that change while it trains, in the order of the epochs; those of its beginning are under train: and
    trainer:."""
    best_fitness: float | None
    best_epoch: int | None
    """Counted from 1."""
    best_objectives: list[float] = []
    """Of that epoch, the fitness first; empty if it is alone."""
    feasible: bool = True
    """Whether that epoch keeps every constraint."""
    measured: dict[str, Any] | None = None
    """What was measured of the architecture, and on what; None if nothing asked for it."""
    baseline_fitness: float | None
    """What the space's defaults reached, trial 0."""
    seed: int
    threads: Annotated[int, Field(ge=1)] | None
    """Threads of torch in the trial's process; None if they were left as they were."""
    ranks: Annotated[int, Field(ge=1)] = 1
    """Processes that trained the trial together; a retraining is one process."""
    versions: dict[str, str]
    dataset: DatasetRecord | None
    """None if it could not be read, as one that Ultralytics downloads."""
    study: StudyRecord

    def to_yaml(self) -> str:
        """YAML that `read` reads back to an equal object, floats to the last digit; no key that does not concern it."""
        idle = {name for name in ("subject_to", "measured", "schedule", "best_objectives") if not getattr(self, name)}
        return dump_yaml(self.model_dump(exclude=idle | (set() if self.subject_to else {"feasible"})))

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        write_bytes(path, self.to_yaml().encode())

    @classmethod
    def read(cls, path: Path) -> BestFile:
        """Read a file that `write` wrote, perhaps edited since.

        Raises:
            UserError: if it cannot be read, is not YAML, or lacks or adds a key; one problem for each.
        """
        data, origins = read_yaml(path)
        if not {"study", "versions", "params"} & data.keys():
            other = "a space is searched with `raytrainer tune`, a dataset is given as --data, a model as --model"
            raise UserError([Problem(str(path), None, None, f"is no best.yaml; {other}")])
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UserError([origins.problem(each["loc"], _told(each)) for each in error.errors()]) from None


PARTS: dict[int | str, type[BaseModel]] = {"schedule": StageRecord, "dataset": DatasetRecord, "study": StudyRecord}


def _told(error: ErrorDetails) -> str:
    if error["type"] != "extra_forbidden":
        return error["msg"]
    *place, key = error["loc"]
    model = PARTS[place[0]] if place else BestFile
    return f"unknown key{suggest(key, model.model_fields)}"


def read_measured(run: Path) -> dict[str, Any] | None:
    """What a run has kept of the measurements of its architecture; None if it has made none."""
    file = run / MEASURED_FILE
    contents: dict[str, Any] | None = json.loads(file.read_bytes()) if file.is_file() else None
    return contents


def write_measured(run: Path, measured: dict[str, Any]) -> None:
    """Let a run take these measurements for its own, if it is of the same architecture on the same kind of device."""
    run.mkdir(parents=True, exist_ok=True)
    write_bytes(run / MEASURED_FILE, json.dumps(measured).encode())


def portable(text: str, folder: Path) -> str:
    """A path as best.yaml in `<study>/best` keeps it: absolute, or relative to that folder if inside the study.

    Names of models and datasets that Ultralytics finds by itself (`yolo11n.pt`) stay as they are.
    """
    path = Path(text)
    if not path.exists():
        return text
    path, study = path.resolve(), folder.resolve().parent
    return os.path.relpath(path, folder.resolve()) if path.is_relative_to(study) else str(path)


def located(text: str, folder: Path) -> str:
    """The inverse of `portable`: a path relative to `folder` made absolute if it is there, anything else as it is."""
    path = folder / text
    return text if Path(text).is_absolute() or not path.exists() else str(path.resolve())

"""One training that is asked for outside a study: by a best.yaml, by flags, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrainer.config.document import Document
from raytrainer.config.form import Form, holds_text
from raytrainer.config.metric_names import default_fitness
from raytrainer.config.model_file import model_facts
from raytrainer.config.parameters import Scalar
from raytrainer.config.problems import Origins, Problem, UserError, raise_for
from raytrainer.config.space import Space
from raytrainer.config.yaml_lines import read_yaml
from raytrainer.results.best_file import PATHS_IN_TRAIN, BestFile, located
from raytrainer.results.schedule_check import scheduled

TAKEN = ("model", "data", "fitness", "subject_to", "train", "trainer")
"""What a best.yaml and a space file have in common."""

ALONE = {"trainer": {"on_nan": "recover"}}
"""A trial fails on a loss that is not finite; the one training that there is goes on from its last epoch."""


@dataclass(frozen=True)
class Change:
    """A value that a flag asks for: `Change("train.epochs", "3", "--epochs")`. Text is read as YAML."""

    key: str
    value: Any
    flag: str


@dataclass(frozen=True)
class Request:
    """A space with nothing to search, which is one training."""

    space: Space
    best: BestFile | None
    """The best.yaml that it began from."""
    changes: tuple[Change, ...] = ()
    """What is asked for beside it."""

    @property
    def later(self) -> list[tuple[int, dict[str, Scalar]]]:
        """Epochs done, and the values that change then (see `assemble`)."""
        return [(stage.epoch - 1, stage.values) for stage in (self.best.schedule if self.best else ())]


def request(best: Path | None, changes: Sequence[Change] = ()) -> Request:
    """Read a best.yaml, if one is given, and apply the flags.

    Raises:
        UserError: with every problem of their form; a missing file, an unknown key, a wrong type.
    """
    data, origins = read_yaml(best) if best is not None else (ALONE, Origins())
    read = BestFile.read(best) if best is not None else None
    document = Document(deepcopy({key: data[key] for key in TAKEN if key in data}), origins, holds_text)
    problems = [problem for change in changes for problem in _applied(document, change)]
    form = Form(document)
    fields = form.read()
    if read is not None:
        problems += scheduled(read, {change.key: change.flag for change in changes}, fields, origins)
    raise_for([*problems, *form.problems])
    if best is not None:
        _locate(fields, best.resolve().parent)
    fields.setdefault("fitness", default_fitness(model_facts(fields["model"]).task))
    space = Space(**fields)
    space._origins = document.origins
    return Request(space, read, tuple(changes))


def _applied(document: Document, change: Change) -> list[Problem]:
    try:
        document.replace(change.key, change.value, change.flag)
    except UserError as error:
        return error.problems
    return []


def _locate(fields: dict[str, Any], folder: Path) -> None:
    for key in ("model", "data"):
        fields[key] = located(fields[key], folder)
    for key in PATHS_IN_TRAIN:
        if isinstance(value := fields["train"].get(key), str):
            fields["train"][key] = located(value, folder)

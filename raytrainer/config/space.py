"""A space: everything that a space file asks for, checked for its form and filled with its defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, model_validator

from raytrainer.config.metric_names import DEFAULT
from raytrainer.config.objectives import Goal, listed
from raytrainer.config.parameters import Categorical, Float, Integer, Parameter
from raytrainer.config.problems import KeyPath, Origins, Problem
from raytrainer.config.storage import Storage, StorageField
from raytrainer.config.ultralytics_arguments import LARGEST_SEED
from raytrainer.config.yaml_lines import dump_yaml

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"
NAME_WORDS: dict[str, JsonValue] = {"patternErrorMessage": "a name of at most 200 letters, digits, '.', '_' and '-'"}
KEEP = r"^(best|all|top-[1-9][0-9]*)$"
KEEP_WORDS: dict[str, JsonValue] = {"patternErrorMessage": "best, all, or top- and a number"}

DEFAULT_TRIALS = 32

Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def as_name(stem: str) -> str:
    """The name of a study or run after a file, whose name may hold anything."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")
    return name[:200] or "study"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Budget(_Section):
    """What a study may take in all, over all of its starts; a part that is not given is not bounded."""

    epochs: Count | None = None
    """Epochs of all trials together."""
    gpu_hours: Amount | None = None
    """GPU-hours of all trials together: the GPUs that a trial reserves times how long it holds them."""
    cpu_hours: Amount | None = None
    """CPU-hours of all trials together, likewise."""
    wall: Amount | None = None
    """Hours by the clock that the study runs."""

    @property
    def given(self) -> dict[str, float]:
        """The parts that are bounded, by name."""
        return {name: bound for name, bound in self if bound is not None}


class Search(_Section):
    """How the space is searched."""

    trials: Count | None = None
    """Number of trials, the defaults of the space included; null is 32, or with a budget as many as it allows."""
    budget: Budget = Budget()
    """What the study may take in all; raised, it goes on."""
    min_gain: Amount | None = None
    """Fitness: no more trials are begun when all that are left are expected to gain less than this, by the model of the
    sampler auto; null expects nothing."""
    sampler: str = "auto"
    """What suggests configurations: auto, a Gaussian process over configuration and epoch, or any sampler of Optuna by
    name, such as tpe, random, gp, cmaes."""
    sampler_args: dict[str, Any] = {}
    """Arguments of the sampler."""
    pruner: Literal["asha", "asha-promote", "median", "hyperband", "none"] = "asha"
    """What stops a trial early; asha-promote pauses it, and goes on with it if it is among the best after all."""
    min_epochs: Count | None = None
    """Epochs that every trial may run before it can be stopped; null is the first after warm-up and after all frozen
    layers train again, or a 27th of a training if that is later."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    """One in so many trials goes on beyond a rung."""
    schedule: Literal["pbt", "pb2"] | None = None
    """Lets values change while the trials train, all side by side: pbt is population based training, and pb2 lets a
    Gaussian process choose the values; null keeps them."""
    perturbation_interval: Count | None = None
    """Epochs from one change of values to the next; null is a tenth of a training. None before the warm-up is over."""
    quantile_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Share of the trials, the worst, that go on from the checkpoints of as many of the best."""
    resample_probability: Annotated[float, Field(ge=0, le=1)] = 0.25
    """With pbt: how often a value is drawn anew, else it is multiplied by 0.8 or 1.2, or the choice beside it taken."""
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    """Seed of the suggestions, and of the training unless train.seed is given."""

    @property
    def most_trials(self) -> int | None:
        """Trials in all, at most; None if the budget alone decides."""
        return self.trials if self.trials is not None or self.budget.given else DEFAULT_TRIALS

    @model_validator(mode="before")
    @classmethod
    def _of_a_population(cls, given: Any) -> Any:
        """Nobody is stopped in a population, unless it is asked for, which is told as a mistake."""
        if isinstance(given, dict) and given.get("schedule") and "pruner" not in given:
            return {**given, "pruner": "none"}
        return given


class Resources(_Section):
    """What a trial takes."""

    cpus: Amount | None = None
    """CPUs of a trial; null shares out the machine."""
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["auto"] = "auto"
    """GPUs of a trial, a fraction for several trials on one; auto is one a rank where there are any, else none."""
    ranks: Count = 1
    """Processes that train one trial together, with DistributedDataParallel; as many as `gpus` if that is above 1."""
    cpus_per_rank: Amount | None = None
    """CPUs of each rank, in place of `cpus`."""
    gpus_per_rank: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """GPUs of each rank, one or a fraction, in place of `gpus`."""
    spread: Literal["pack", "spread"] = "pack"
    """Whether the ranks of a trial are placed on as few nodes as possible, or on as many."""
    max_concurrent: Count | None = None
    """Trials at once, at most; null is as many as fit."""

    @property
    def world_size(self) -> int:
        """Ranks of a trial: one that has several GPUs has one for each, if no ranks were asked for."""
        return int(self.gpus) if self.ranks == 1 and self.gpus != "auto" and self.gpus > 1 else self.ranks

    @property
    def cpus_of_rank(self) -> float | None:
        """CPUs of each rank; None if the machine is to be shared out."""
        return self.cpus_per_rank if self.cpus is None else self.cpus / self.world_size

    @property
    def gpus_of_rank(self) -> float | None:
        """GPUs of each rank; None if there is to be one where there are any. Above 1 it cannot be had."""
        return self.gpus_per_rank if self.gpus == "auto" else self.gpus / self.world_size


class Failures(_Section):
    """What becomes of a trial that fails."""

    on_oom: Literal["retry", "fail"] = "retry"
    """Out of memory before the first epoch: begin again with half the batch, accumulated twice, or fail the trial."""
    stall_minutes: Amount | None = 30
    """Minutes without a batch after which a trial is ended and tried again; null never does that."""
    same_error: Count | None = 3
    """Trials that fail alike, or violate what nothing that is searched changes, before any has reported an epoch, after
    which the study stops; null never does that."""


class Space(BaseModel):
    """What was asked for. Two spaces are equal if they ask for the same, wherever it was written.

    `load_space` makes one from a file; made by hand, `train`, `trainer` and the names in `space` are not validated.

    Raises:
        pydantic.ValidationError: on a wrong type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: str
    """Checkpoint or model YAML: a path, or a name that Ultralytics knows."""
    data: str
    """Dataset: a path to a data.yaml, a name that Ultralytics knows, or a URI of an archive or a folder."""
    fitness: Goal = DEFAULT
    """Expression over metrics, or `file.py:function`; larger is better. Or up to four expressions, of which the best
    compromises are sought: `[mAP50-95, -latency_ms]`; the first decides best.pt."""
    subject_to: list[str] = []
    """Constraints that the best trial has to keep: an expression over metrics, one of < <= > >=, and a number, such as
    `latency_ms < 8` or `AP[Platelets] > 0.4`."""
    train: dict[str, Any] = {}
    """Ultralytics' training arguments, the same in every trial."""
    trainer: dict[str, Any] = {}
    """Settings of the composed trainer, the same in every trial."""
    search: Search = Search()
    resources: Resources = Resources()
    failures: Failures = Failures()
    """What becomes of a trial that fails."""
    space: dict[str, Parameter] = {}
    """What is searched: training arguments, settings of the trainer, and `class_weights.<name>`."""
    keep: Annotated[str, Field(pattern=KEEP, json_schema_extra=KEEP_WORDS)] = "best"
    """Trials whose weights are kept: best, all, or top-3 and the like."""
    name: Annotated[str, Field(pattern=NAME, json_schema_extra=NAME_WORDS)] = "study"
    """The study's name, that of its folder; without one, the file's."""
    storage: StorageField = Storage()
    """Folder of studies; or a URL for the study itself, sqlite, postgresql or redis; or {folder: ..., study: URL}."""
    source: Path | None = Field(default=None, exclude=True)
    """The file that was read."""
    _origins: Origins = PrivateAttr(default_factory=Origins)
    _automatic: tuple[str, ...] = PrivateAttr(default=())
    _taken_out: tuple[str, ...] = PrivateAttr(default=())

    @property
    def objectives(self) -> list[str]:
        """What is maximised; the first is the fitness."""
        return listed(self.fitness)

    @property
    def automatic(self) -> tuple[str, ...]:
        """Names that are searched, but whose range is still to be filled in (`fill_in`)."""
        return self._automatic

    @property
    def taken_out(self) -> tuple[str, ...]:
        """Names that stand as null under `space:`, which are not to be searched."""
        return self._taken_out

    def filled(self, parameters: dict[str, Parameter], trainer: dict[str, Any]) -> Space:
        """The same space with these parameters and settings, and nothing to be filled in any more."""
        space = self.model_copy(update={"space": parameters, "trainer": trainer})
        space._automatic = ()
        return space

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem with the value at `path`, with the file and line, or the flag, that it came from."""
        return self._origins.problem(path, message)

    def to_plain(self) -> dict[str, Any]:
        """Everything, defaults included, as plain data."""
        plain = self.model_dump(mode="json", exclude={"space"})
        return plain | {"space": {name: parameter.to_plain() for name, parameter in self.space.items()}}

    def to_yaml(self) -> str:
        """A space file that `load_space` reads back to an equal space."""
        return dump_yaml(self.to_plain())

    def __eq__(self, other: object) -> bool:
        """Whether both ask for the same."""
        return isinstance(other, Space) and self.to_plain() == other.to_plain()

    __hash__ = None  # type: ignore[assignment]


__all__ = ["Budget", "Categorical", "Failures", "Float", "Integer", "Parameter", "Resources", "Search", "Space"]

"""Write down the best trial, so that it can be used without this package and trained again with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrainer.config.assemble import TrialConfig, assemble
from raytrainer.config.parameters import Scalar
from raytrainer.config.population import boundaries
from raytrainer.config.reserved import AT_THE_TOP
from raytrainer.results.best_file import (
    PATHS_IN_TRAIN,
    BestFile,
    StageRecord,
    StudyRecord,
    portable,
    read_measured,
)
from raytrainer.results.dataset_record import dataset_record
from raytrainer.results.ranking import baseline
from raytrainer.results.versions import versions
from raytrainer.results.weights import strip
from raytrainer.search.views import TrialView, best_of

if TYPE_CHECKING:
    from raytrainer.config.layout import StudyFolder
    from raytrainer.config.space import Space


@dataclass(frozen=True)
class Best:
    """A trial that was written down."""

    trial: TrialView
    baseline: TrialView | None
    """The trial with the space's defaults."""
    file: Path
    """best.yaml"""
    weights: Path | None
    """best.pt; None if the trial's weights are gone."""
    subject_to: Sequence[str] = ()
    """The constraints of its space."""


def write_best(folder: StudyFolder, space: Space, views: Sequence[TrialView]) -> Best | None:
    """Write `best/best.pt` and `best/best.yaml` for the best trial so far.

    Args:
        folder: the study.
        space: its space, resolved.
        views: all of its trials as they are now.

    Returns:
        What was written; None, and nothing written, if no trial has a fitness.

    Raises:
        UserError: if the trial's checkpoint is broken.
    """
    best = best_of(views)
    return None if best is None else write_trial(folder, space, views, best, folder.best)


def write_trial(
    folder: StudyFolder,
    space: Space,
    views: Sequence[TrialView],
    trial: TrialView,
    target: Path,
    name: str = "best",
) -> Best:
    """Write one trial's `best.pt` and `best.yaml`, or those of another name, into `target`, over what is there.

    A `best.pt` of another trial does not stay beside the new `best.yaml`.

    Raises:
        UserError: if the trial's checkpoint is broken.
    """
    target.mkdir(parents=True, exist_ok=True)
    weights, file = target / f"{name}.pt", target / f"{name}.yaml"
    source = folder.trial(trial.number) / "weights" / "best.pt"
    if source.is_file():
        strip(source, weights)
    elif not _holds(file, space.name, trial.number):
        weights.unlink(missing_ok=True)
    measured = read_measured(folder.trial(trial.number))
    _best_file(space, views, trial, target, measured).write(file)
    return Best(trial, baseline(views), file, weights if weights.is_file() else None, space.subject_to)


def _holds(file: Path, study: str, trial: int) -> bool:
    """Whether a best.yaml is already there and is this trial's."""
    if not file.is_file():
        return False
    there = BestFile.read(file).study
    return (there.name, there.trial) == (study, trial)


def _best_file(
    space: Space, views: Sequence[TrialView], trial: TrialView, target: Path, measured: dict[str, Any] | None
) -> BestFile:
    params = trial.lineage[0].values
    config, start = assemble(space, params, trial.notes.get("amended", {})), baseline(views)
    train = _portable_train(config.train, target)
    if space.resources.gpus_of_rank == 0:
        train.setdefault("device", "cpu")  # as the trial ran, whatever the machine has
    return BestFile(
        model=portable(config.model, target),
        data=portable(space.data, target),
        fitness=space.fitness,
        subject_to=space.subject_to,
        train={key: value for key, value in train.items() if key not in ("data", "model")},
        trainer=_settings(config),
        params=dict(params),
        schedule=stages(space, trial),
        best_fitness=trial.best_fitness,
        best_epoch=trial.best_epoch,
        best_objectives=list(trial.objectives) if trial.others else [],
        feasible=trial.feasible,
        measured=measured,
        baseline_fitness=start.best_fitness if start else None,
        seed=int(config.train.get("seed", 0)),
        threads=trial.notes.get("threads"),
        ranks=trial.notes.get("ranks", 1),
        versions=versions(),
        dataset=dataset_record(space),
        study=StudyRecord(name=space.name, trial=trial.number, state=trial.state, trials=len(views)),
    )


def stages(space: Space, trial: TrialView) -> list[StageRecord]:
    """The schedule of a population's trial, with a stage for each boundary, whether values changed there or not.

    Each trial left off there, and whoever trains it again does too: loader workers begin anew at a resume, and draw
    other images than those of a run that went on. What the space fixes comes with the stage from which on it does
    something, such as a power with the first class weights.
    """
    found = []
    values = dict(trial.lineage[0].values)
    told = _in_force(space, values)
    for epoch in boundaries(space):
        by_then = [stage for stage in trial.lineage if stage.epoch <= epoch]
        came_from = next((stage.trial for stage in trial.lineage[1:] if stage.epoch >= epoch), trial.number)
        changed = {name: value for name, value in by_then[-1].values.items() if values[name] != value}
        values |= changed
        new = {name: value for name, value in _in_force(space, values).items() if name not in told}
        told |= new
        found.append(StageRecord(epoch=epoch + 1, trial=came_from, values={**new, **changed}))
    return found


def _in_force(space: Space, values: Mapping[str, Scalar]) -> dict[str, Any]:
    """The fixed settings that do something beside these values, those by class by their full names."""
    held = assemble(space, dict(values)).settings.model_fields_set
    found: dict[str, Any] = {}
    for name, value in space.trainer.items():
        if name in held:
            parts = value.items() if isinstance(value, dict) else []
            found |= {f"{name}.{label}": each for label, each in parts} or {name: value}
    return found


def _portable_train(train: Mapping[str, Any], target: Path) -> dict[str, Any]:
    return {
        key: portable(value, target) if key in PATHS_IN_TRAIN and isinstance(value, str) else value
        for key, value in train.items()
    }


def _settings(config: TrialConfig) -> dict[str, Any]:
    """What is not at its default; `on_nan` always, whose default a trial does not take."""
    different = config.settings.model_dump(mode="json", exclude_defaults=True, exclude={*AT_THE_TOP})
    return {**different, "on_nan": config.settings.on_nan}

"""Train what a best.yaml holds again, or any one configuration, and say what may make it come out different."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raytrainer.config.assemble import assemble
from raytrainer.config.check import check
from raytrainer.config.placement import placed
from raytrainer.config.problems import raise_for
from raytrainer.results.best_file import write_measured
from raytrainer.results.dataset_record import dataset_record
from raytrainer.results.request import Change, Request, request
from raytrainer.results.schedule_check import stage_problems
from raytrainer.results.versions import version_changes

if TYPE_CHECKING:
    from raytrainer.config.assemble import TrialConfig
    from raytrainer.config.space import Space
    from raytrainer.results.best_file import DatasetRecord
    from raytrainer.trainer.records import EpochRecord
    from raytrainer.trainer.run import TrainResult


def retrain(best: Path, save_dir: Path, changes: Sequence[Change] = (), *, threads: int | None = None) -> TrainResult:
    """Train a best.yaml again: on the same machine to the same fitness, digit by digit.

    Args:
        best: the file.
        save_dir: folder of the run; one that was interrupted there goes on.
        changes: what is to be different.
        threads: threads of torch; None takes those that are recorded.

    Raises:
        UserError: if the file, the changes, the dataset or the model cannot be used.
    """
    return train_request(request(best, changes), save_dir, threads=threads)


def train_request(
    asked: Request,
    save_dir: Path,
    *,
    threads: int | None = None,
    device: str | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainResult:
    """Check a request as a study's space is checked, and train it.

    Args:
        asked: what to train.
        save_dir: folder of the run; one that was interrupted there goes on, a finished one gives its result.
        threads: threads of torch; None takes those of the best.yaml, or leaves them as they are.
        device: as Ultralytics has it; None leaves the choice to it.
        on_epoch: called with the record of every epoch that is trained now.

    Raises:
        UserError: if something is wrong with it, or if `save_dir` holds a run that was asked for differently.
        raytrainer.trainer.run.NonFinite, raytrainer.trainer.run.OutOfMemory: as training does.
    """
    # `check` also finds, rightly for a study, that the space is empty.
    raise_for(problem for problem in check(asked.space) if problem.key != "space")
    if asked.best is not None:
        raise_for(stage_problems(asked.space, asked.best.schedule))
    from raytrainer.trainer.environment import prepare_process

    prepare_process(offline=False)
    from raytrainer.trainer.probe import probe
    from raytrainer.trainer.run import train
    from raytrainer.trainer.state_file import has_state

    config = configuration(asked, device)
    if threads is None and asked.best is not None:
        threads = asked.best.threads
    with placed(asked.space):
        if not has_state(save_dir / "weights"):
            probe(config, threads=threads)  # what is wrong is told before the run has a folder
            if asked.best is not None and asked.best.measured is not None:
                write_measured(save_dir, asked.best.measured)
        return train(config, save_dir, threads=threads, on_epoch=on_epoch)


def configuration(asked: Request, device: str | None = None) -> TrialConfig:
    """What a request trains, all of it on `device`, as Ultralytics has it; None leaves the choice to it."""
    return assemble(asked.space, {}, {} if device is None else {"device": device}, asked.later)


def departures(asked: Request) -> list[str]:
    """One line for each version that is another than the best.yaml records, for several ranks and a changed dataset.

    A dataset that was asked for by a flag is not compared.
    """
    if asked.best is None:
        return []
    lines = [_of_ranks(asked.best.ranks)] if asked.best.ranks > 1 else []
    lines += [f"{change}; the fitness may come out different" for change in version_changes(asked.best.versions)]
    if not any(change.key == "data" for change in asked.changes):
        lines += _dataset_changes(asked.space, asked.best.dataset)
    return lines


def _of_ranks(ranks: int) -> str:
    return f"{ranks} ranks trained this together, this is one process: the fitness will come out a little different"


def _dataset_changes(space: Space, then: DatasetRecord | None) -> list[str]:
    now = dataset_record(space)
    if then is None or now is None:
        return [f"whether the dataset {space.data} is what it was cannot be told"]
    if now.fingerprint == then.fingerprint:
        return []
    images = f"{then.train_images} training and {then.val_images} validation images then"
    return [
        f"the dataset {space.data} has changed: {images}, {now.train_images} and {now.val_images} now, or other labels"
    ]

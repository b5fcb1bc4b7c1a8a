"""`raytrainer export STUDY`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from raytrainer.commands.parser import Parser
from raytrainer.commands.study_argument import add_study

if TYPE_CHECKING:
    from raytrainer.results.saved import SavedStudy
    from raytrainer.search.views import TrialView


def parser() -> Parser:
    """What may be given."""
    made = Parser(
        "export",
        "Write best.pt, which loads in stock Ultralytics, and best.yaml, which `raytrainer train` trains again, of\n"
        "the best trial or of any; of several objectives also of every trial on the front. Works while the study runs.",
        "  raytrainer export detr\n  raytrainer export detr --trial 7 --to exported/7",
    )
    add_study(made)
    made.add_argument("--trial", metavar="N", type=int, help="number of a trial (default: the best one)")
    made.add_argument(
        "--to",
        metavar="FOLDER",
        type=Path,
        help="where to (default: best/ of the study, its front in front/; or export/ of trial N's folder)",
    )
    return made


def run(args: Namespace) -> int:
    """Write the files and say which; 0.

    Raises:
        UserError: if there is no such study or trial, or the trial has no fitness.
    """
    from raytrainer.results.announcement import retrain_command, shown
    from raytrainer.results.best import write_trial
    from raytrainer.results.feasibility import violated
    from raytrainer.results.front_files import write_front
    from raytrainer.results.saved import read_study
    from raytrainer.trainer.environment import prepare_process

    study = read_study(args.study, args.storage)
    trial = _trial(study, args.trial)
    default = study.folder.best if args.trial is None else study.folder.trial(trial.number) / "export"
    prepare_process(offline=True)
    written = write_trial(study.folder, study.space, study.trials, trial, args.to or default)
    if written.weights is None:
        print(f"trial {trial.number} has no weights any more (keep: {study.space.keep}); wrote {shown(written.file)}")
    else:
        print(f"wrote {shown(written.weights)} and {shown(written.file)}")
    if args.trial is None:
        target = args.to / "front" if args.to else study.folder.front
        if members := write_front(study.folder, study.space, study.trials, target):
            print(f"wrote the front, {len(members)} trial{'s' if len(members) > 1 else ''}, to {shown(target)}")
    if which := violated(trial, study.space.subject_to):
        print(f"INFEASIBLE: trial {trial.number} violates {which}")
    print(f"trial {trial.number}, fitness {trial.best_fitness:.4f}. Retrain it: {retrain_command(written.file)}")
    return 0


def _trial(study: SavedStudy, number: int | None) -> TrialView:
    from raytrainer.config.problems import Problem, UserError
    from raytrainer.search.views import best_of

    if number is None:
        trial = best_of(study.trials)
    else:
        trial = next((view for view in study.trials if view.number == number), None)
        if trial is None:
            there = f"it has {len(study.trials)}, numbered from 0"
            raise UserError(
                [Problem(None, None, "--trial", f"study {study.space.name} has no trial {number}: {there}")]
            )
    if trial is None or trial.best_fitness is None:
        which = "no trial" if trial is None else f"trial {trial.number}"
        has = "has a fitness" if trial is None else "has no fitness"
        raise UserError([Problem(None, None, None, f"{which} of study {study.space.name} {has}: nothing to export")])
    return trial

"""`raytrainer tune`, which `python tune.py` is too."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from raytrainer.commands import check
from raytrainer.commands.parser import Parser
from raytrainer.commands.space_flags import add_space, space_of
from raytrainer.config.search_size import search_size

if TYPE_CHECKING:
    from raytrainer.api import Outcome, Running

DESCRIPTION = """Search a space for its best configuration, on this machine or on a Ray cluster.

Checks the space and tries one batch first. The study is kept in STORAGE/NAME; started again, it goes on where it was.
Ctrl-C once stops cleanly."""

EXAMPLES = """  raytrainer tune --space demo.yaml
  raytrainer tune --space detr.yaml --model rtdetr-l.pt --data cells.yaml --trials 32 --epochs 20
  raytrainer tune --space yolo.yaml --model yolo11n.pt --data cells.yaml --set train.imgsz=320 --gpus-per-trial 0.5
  raytrainer tune --space detr.yaml --data cells.yaml --check
  raytrainer tune --space detr.yaml --data s3://bucket/cells.zip --storage /mnt/studies --address ray://head:10001"""


def parser() -> Parser:
    """What may be given."""
    made = Parser("tune", DESCRIPTION, EXAMPLES)
    add_space(made)
    made.add_argument(
        "--address", metavar="ADDRESS",
        help="Ray cluster to join: auto (the one that this machine is a node of), host:port, or from outside "
        "ray://host:10001, whose head then drives the study; local starts one here (default: RAY_ADDRESS of the "
        "environment, as a submitted job has it, else local)",
    )  # fmt: skip
    made.add_argument("--check", action="store_true", help="only check, as `raytrainer check` does")
    one = made.add_mutually_exclusive_group()
    one.add_argument("--fresh", action="store_true", help="begin a new study beside one of the same name")
    one.add_argument("--extend", action="store_true", help="go on with a study whose space this one only widens")
    made.add_argument("--quiet", action="store_true", help="print nothing but the last line")
    return made


def run(args: Namespace) -> int:
    """Run the study; 0, 1 if no trial reached a fitness or all failed alike, or 130 if it was interrupted.

    Raises:
        UserError: for everything that is wrong with the space, before a trial starts.
    """
    if args.check:
        return check.run(args)
    space = space_of(args, quiet=args.quiet)
    if not args.quiet:
        print(f"{space.name}: {search_size(space)}; checking, trying one batch, starting Ray")
    from raytrainer.api import run_study

    outcome = run_study(
        space,
        fresh=args.fresh,
        extend=args.extend,
        address=args.address,
        watch=partial(_watch, quiet=args.quiet),
    )
    return _conclude(outcome, args.quiet, args.address)


def _watch(running: Running, quiet: bool) -> AbstractContextManager[Any]:
    from rich.console import Console

    from raytrainer.commands.doubts import doubts
    from raytrainer.config.problems import counted
    from raytrainer.results.announcement import shown
    from raytrainer.results.disk_use import DiskUse
    from raytrainer.results.live import Asked
    from raytrainer.results.progress import Progress

    if not quiet:
        plan = running.plan
        each = [counted(plan.cpus, "CPU"), counted(plan.gpus, "GPU")]
        resources = " and ".join(each if plan.gpus else each[:1])
        say = partial(print, file=running.screen)
        say(f"study {shown(running.folder.path)}, at most {plan.concurrent} at once with {resources} each")
        for problem in doubts(running.space):
            say(f"warning: {problem}")
        if running.dashboard:
            say(f"Ray dashboard http://{running.dashboard}")
    screen, disk = Console(file=running.screen), DiskUse(running.folder.path)
    asked = Asked.of(running.space)
    return Progress(running.snapshot, asked, quiet=quiet, standing=running.standing, disk=disk, console=screen)


def _conclude(outcome: Outcome, quiet: bool, address: str | None = None) -> int:
    from raytrainer.cli import INTERRUPTED
    from raytrainer.results.announcement import announce, shown
    from raytrainer.results.cost import cost_of, told
    from raytrainer.results.disk_use import disk_use, size
    from raytrainer.results.outlook import outlook
    from raytrainer.results.stopped import stopped

    again = partial(_again, outcome, address, quiet)
    if not quiet and (used := disk_use(outcome.folder.path)):
        print(f"{size(used)} on disk")
    if not quiet and outcome.standing is not None and not outcome.interrupted:
        for line in outlook(outcome.space, outcome.trials, outcome.standing, again):
            print(line)
    if not quiet and (taken := told(cost_of(outcome.folder, (view.number for view in outcome.trials)))) is not None:
        print(taken)
    if not quiet and len(outcome.space.objectives) > 1 and (count := len(outcome.front)):
        print(f"{count} trial{'s' if count > 1 else ''} on the front, in {shown(outcome.folder.front)}")
    if outcome.broken is not None and not outcome.interrupted:
        mended = "The same command goes on, once that is mended"
        print(stopped(outcome.broken, outcome.trials, outcome.folder, mended))
        return 1
    if not outcome.interrupted:
        print(announce(outcome.best) if outcome.best else _nothing(outcome))
        return 0 if outcome.best else 1
    if not outcome.trials:
        print("Stopped before the first trial. The same command begins the study")
        return INTERRUPTED
    if not quiet:
        print(announce(outcome.best))
    print(f"Stopped, nothing is lost. Go on: {again([])}")
    return INTERRUPTED


def _again(outcome: Outcome, address: str | None, quiet: bool, more: Sequence[str]) -> str:
    """The command that goes on with the study, with further flags."""
    from raytrainer.results.status import continuing

    folder, space = outcome.folder, outcome.space
    if not folder.space.is_file():  # on storage of a cluster's that is not here, or without a trial
        return " ".join(["the same command", *(["with", *more] if more else [])])
    flags = [*(["--address", address] if address else []), *(["--quiet"] if quiet else []), *more]
    return continuing(folder.path, folder.space, space.storage, space.name, flags)


def _nothing(outcome: Outcome) -> str:
    """One line for a study in which every trial failed, or was ended before its first epoch."""
    from raytrainer.results.announcement import shown
    from raytrainer.results.stopped import excluded

    if not outcome.trials:
        return "No trial was begun, and nothing was written"
    failed = [view.reason or "unknown" for view in outcome.trials if view.state == "failed"]
    without_epoch = excluded(outcome.trials)
    counts = f"{len(failed)} of {len(outcome.trials)} trials failed"
    if without_epoch:
        counts += f", {len(without_epoch)} were ended before their first epoch"
    why = "".join(f", most often: {reason}" for reason, _ in Counter([*failed, *without_epoch]).most_common(1))
    return f"No trial has a fitness: {counts}{why}. Their logs are in {shown(outcome.folder.trials)}"

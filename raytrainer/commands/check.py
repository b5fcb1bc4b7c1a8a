"""`raytrainer check`."""

from __future__ import annotations

import os
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from raytrainer.cluster.plan import plan
from raytrainer.commands.parser import Parser
from raytrainer.commands.space_flags import add_space, space_of
from raytrainer.config.check import check, raise_for
from raytrainer.config.remote_data import pin

if TYPE_CHECKING:
    from raytrainer.config.space import Space
    from raytrainer.trainer.probe import ProbeReport

DESCRIPTION = """Find what is wrong with a space before hours are spent on it.

Names every mistake with its file, line and key: unknown keys, wrong types and ranges, a dataset, model, class or metric
that is not there, parameters that would have no effect. Then trains one batch, and prints what would be searched."""

EXAMPLES = """  raytrainer check detr.yaml
  raytrainer check detr.yaml --model rtdetr-l.pt --data cells.yaml --set train.imgsz=320"""


def parser() -> Parser:
    """What may be given."""
    made = Parser("check", DESCRIPTION, EXAMPLES)
    add_space(made)
    return made


def run(args: Namespace) -> int:
    """Check; 0 if nothing is wrong.

    Raises:
        UserError: with everything that is.
    """
    quiet = getattr(args, "quiet", False)
    space = pin(space_of(args, quiet=quiet))
    raise_for(check(space))
    from raytrainer.commands.doubts import doubts
    from raytrainer.results.announcement import left_out
    from raytrainer.results.early_stopping import too_early
    from raytrainer.search.sampler_arguments import check_sampler

    check_sampler(space)
    if not quiet:
        _show(space)
    for problem in (*doubts(space), *too_early(space)):
        print(f"warning: {problem}", file=sys.stderr)
    if getattr(args, "address", None) in (None, "local"):
        plan(space, [_this_machine()])
    report = _one_batch(space)
    if not quiet:
        print(_told(report))
        print(_disk(space, report))
    for line in left_out(report.left_out):
        print(f"warning: {line}", file=sys.stderr)
    print(f"{space.name}: nothing wrong was found")
    return 0


def _show(space: Space) -> None:
    from rich.console import Console
    from rich.table import Table

    from raytrainer.config.search_size import search_size, search_table
    from raytrainer.results.early_stopping import how_it_searches
    from raytrainer.results.live import Asked

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("parameter", "kind", "range", "default", "only when"):
        table.add_column(heading, overflow="fold")
    for row in search_table(space):
        table.add_row(row.name, row.kind, row.range, row.default, row.condition)
    asked = Asked.of(space)
    most = f", at most {asked.trials * asked.epochs} epochs" if asked.trials and not asked.budget else ""
    Console(highlight=False).print(table)
    print(f"{search_size(space)}; {asked}{most}; {how_it_searches(space)}; fitness {asked.goal}")


def _this_machine() -> dict[str, float]:
    """What a cluster of our own would have; only Ray knows what another one has."""
    import torch

    return {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}


def _one_batch(space: Space) -> ProbeReport:
    from raytrainer.cluster.output import OutputTo
    from raytrainer.trainer.first_batch import try_one_batch

    with tempfile.TemporaryDirectory(prefix="raytrainer-check-") as scratch, OutputTo(Path(scratch) / "log.txt"):
        return try_one_batch(space)


def _disk(space: Space, report: ProbeReport) -> str:
    from raytrainer.results.disk_use import size

    search = space.search
    pauses = search.pruner == "asha-promote" or search.budget.given or search.schedule
    paused = " or is paused" if pauses else ""
    several = len(space.objectives) > 1
    front = ", or on the front, and as much for its copy in front/" if several else ""
    return (
        f"checkpoints: at most {size(report.disk.training)} for each trial that trains{paused}, "
        f"{size(report.disk.kept)} for each that is kept (keep: {space.keep}){front}"
    )


def _told(report: ProbeReport) -> str:
    losses = ", ".join(f"{name} {value:.3g}" for name, value in report.losses.items())
    cost = "".join(f", {name} {value:.4g}" for name, value in report.measured.items())
    return (
        f"model of {report.parameters:,} parameters; {report.train_images} training and {report.val_images} validation "
        f"images of {len(report.classes)} classes ({', '.join(report.classes)})\n"
        f"one batch of {report.batch} images on {report.device}: {report.seconds:.2g} s, {losses}; "
        f"{report.batches} batches an epoch{cost}"
    )

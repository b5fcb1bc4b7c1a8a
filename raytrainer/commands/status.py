"""`raytrainer status STUDY`."""

from __future__ import annotations

from argparse import Namespace

from raytrainer.commands.parser import Parser
from raytrainer.commands.study_argument import add_study


def parser() -> Parser:
    """What may be given."""
    made = Parser(
        "status",
        "How far a study is: trials by state, the best so far against the defaults, the running trials, and whether "
        "anybody\nruns it. Reads its files only, so it works while the study runs, and after.",
        "  raytrainer status detr\n  raytrainer status /data/studies/detr",
    )
    add_study(made)
    return made


def run(args: Namespace) -> int:
    """Print the status; 0.

    Raises:
        UserError: if there is no such study.
    """
    from rich.console import Console

    from raytrainer.results.saved import read_study
    from raytrainer.results.status import Status

    console, status = Console(), Status(read_study(args.study, args.storage))
    if console.is_terminal:
        console.print(status)
        return 0
    with console.capture() as captured:
        console.print(status)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))  # tables are as wide as the screen
    return 0

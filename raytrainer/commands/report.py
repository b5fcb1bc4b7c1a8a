"""`raytrainer report STUDY`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from raytrainer.commands.parser import Parser
from raytrainer.commands.study_argument import add_study


def parser() -> Parser:
    """What may be given."""
    made = Parser(
        "report",
        "A study in words and tables: the best trial against the defaults, the ten best, what was searched, which\n"
        "parameters went along with fitness, failures and their reasons, and what it all took. Markdown.",
        "  raytrainer report detr\n  raytrainer report detr --to report.md",
    )
    add_study(made)
    made.add_argument("--to", metavar="FILE", type=Path, help="write it to a file instead of the screen")
    return made


def run(args: Namespace) -> int:
    """Print or write the report; 0.

    Raises:
        UserError: if there is no such study.
    """
    from raytrainer.results.report import report
    from raytrainer.results.saved import read_study

    text = report(read_study(args.study, args.storage))
    if args.to is None:
        print(text, end="")
    else:
        args.to.parent.mkdir(parents=True, exist_ok=True)
        args.to.write_text(text, encoding="utf-8")
        print(f"wrote {args.to}")
    return 0

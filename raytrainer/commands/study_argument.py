"""What `status`, `report` and `export` have in common: a study that lies on disk."""

from __future__ import annotations

from raytrainer.commands.parser import Parser


def add_study(parser: Parser) -> None:
    """Add `STUDY` and `--storage`."""
    parser.add_argument("study", metavar="STUDY", help="folder of a study, or its name within --storage")
    parser.add_argument(
        "--storage", metavar="PLACE", default="runs", help="folder of studies, or their URL (default: runs)"
    )

"""What `tune` and `check` have in common: a space file, and flags that change what it says."""

from __future__ import annotations

from argparse import Namespace

from raytrainer.commands.parser import Parser
from raytrainer.config.filling import fill_in
from raytrainer.config.load import FLAGS, load_space
from raytrainer.config.problems import Problem, UserError
from raytrainer.config.space import Space

HELP: dict[str, tuple[str, str]] = {
    "model": ("M", "checkpoint or model YAML, YOLO or RT-DETR"),
    "data": ("D", "dataset, as Ultralytics has it"),
    "search.trials": ("N", "trials in all, defaults included (default: 32, or as many as search.budget allows)"),
    "train.epochs": ("N", "epochs of a trial that is not stopped early"),
    "search.seed": ("N", "seed of the suggestions, and of the training unless train.seed is given"),
    "name": ("NAME", "name of the study, that of its folder (default: the file's)"),
    "storage": ("PLACE", "folder of studies, or a URL: sqlite, postgresql, redis (default: runs)"),
    "resources.max_concurrent": ("N", "trials at once, at most (default: as many as fit)"),
    "resources.cpus": ("N", "CPUs of a trial (default: a share of the machine)"),
    "resources.gpus": ("N", "GPUs of a trial, or a fraction of one such as 0.5 (default: one if there are any)"),
}
"""Metavar and help of the flags of `config.load.FLAGS`."""


def add_space(parser: Parser) -> None:
    """Add the space file, the flags of `config.load.FLAGS`, and `--set`."""
    parser.add_argument("space", nargs="?", metavar="SPACE", help="space file, or the name of a shipped one")
    parser.add_argument("--space", dest="space_flag", metavar="FILE", help="the same as SPACE")
    for key, (metavar, text) in HELP.items():
        parser.add_argument(FLAGS[key], dest=key, metavar=metavar, help=text)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="any key of the file, such as train.imgsz=320, search.pruner=none or space.lr0.high=0.02; null takes a "
        "parameter out of the search; a class name that holds = stands in quotes, as in "
        "'space.class_weights.\"a=b\".high=3'; repeatable",
    )  # fmt: skip


def space_of(args: Namespace, *, quiet: bool = False) -> Space:
    """The space that was asked for, with the demo's model and data made if it names them.

    Args:
        args: the parsed arguments.
        quiet: do not say that they are being made.

    Raises:
        UserError: with every problem of its form.
    """
    given = [each for each in (args.space, args.space_flag) if each is not None]
    if len(given) != 1:
        told = "expected a space file, such as --space detr.yaml" if not given else "expected one space file, got two"
        raise UserError([Problem(None, None, None, told)])
    values = vars(args)
    space = load_space(given[0], args.set, {key: values[key] for key in HELP})
    from raytrainer.demo.builtin import DATA, MODEL

    announce = _silence if quiet else print
    if space.data == DATA or space.model == MODEL:
        from raytrainer.demo import materialise

        space = materialise(space, announce=announce)
    return fill_in(space, announce)


def _silence(text: str) -> None:
    """Takes what nobody wants to hear."""

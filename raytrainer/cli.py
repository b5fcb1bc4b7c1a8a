"""The command line: `raytrainer VERB ...`."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from raytrainer.config.problems import UserError, suggest
from raytrainer.secrets_in_arguments import hide_password
from raytrainer.version import __version__

VERBS = {
    "tune": "search a space for its best configuration",
    "check": "find what is wrong with a space, and try one batch, without training",
    "train": "train once: a best.yaml again, or a model as `yolo train` does, with every customisation",
    "status": "how far a study is, while it runs or after",
    "report": "a study in words and tables, as Markdown",
    "replay": "draw every suggestion of a study again, and say why it was made",
    "export": "write best.pt and best.yaml of a study's best trial, or of any",
}

USAGE = """usage: raytrainer VERB ...

Tunes Ultralytics YOLO and RT-DETR models on a Ray cluster.

verbs:
{verbs}

examples:
  raytrainer tune --space detr.yaml --model rtdetr-l.pt --data cells.yaml --trials 32
  raytrainer check detr.yaml
  raytrainer train runs/detr/best/best.yaml
  raytrainer status detr

`raytrainer VERB --help` tells a verb's flags, `raytrainer --version` the version.
"""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 + SIGINT."""

OF_THE_DISK = frozenset(
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "EEXIST", "ENOTDIR", "EISDIR", "ENOSPC", "EDQUOT", "ENAMETOOLONG")
)
"""What the system says of a path that cannot be written: a file in a folder's place, no right to it, no room, too
long a name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        The exit status: 0, 1 for an error that is none of the user's, 2 for one that is, 130 after Ctrl-C.
    """
    hide_password()
    try:
        return _dispatch(sys.argv[1:] if argv is None else list(argv))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `raytrainer report demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in OF_THE_DISK or error.filename is None:
            raise
        print(f"{error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    except SystemExit as error:  # argparse has printed its help or what is wrong
        return error.code if isinstance(error.code, int) else 1


def _dispatch(argv: list[str]) -> int:
    verb, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if verb in ("-h", "--help", "help"):
        print(USAGE.format(verbs="\n".join(f"  {name:8}{what}" for name, what in VERBS.items())), end="")
        return 0 if argv else 2
    if verb in ("-V", "--version"):
        print(f"raytrainer {__version__}")
        return 0
    if verb not in VERBS:
        print(f"raytrainer: unknown verb {verb!r}{suggest(verb, VERBS)}", file=sys.stderr)
        return 2
    command = import_module(f"raytrainer.commands.{verb}")
    status: int = command.run(command.parser().parse(rest))
    return status


if __name__ == "__main__":
    sys.exit(main())

"""Argument parsing that names the flag that was probably meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from raytrainer.config.problems import suggest


class Parser(argparse.ArgumentParser):
    """One verb's flags. They may stand before, between and after the other arguments, and are never abbreviated.

    A mistake exits with status 2 and names the nearest flag.
    """

    def __init__(self, verb: str, description: str, examples: str) -> None:
        super().__init__(
            prog=f"raytrainer {verb}",
            description=description,
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments; exits with status 2 on a mistake, with 0 after `--help`."""
        found, rest = self.parse_known_intermixed_args(argv)
        if rest:
            self.error(self._unknown(rest))
        return found

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\nSee {self.prog} --help\n")

    def _unknown(self, rest: Sequence[str]) -> str:
        flags = [each.partition("=")[0] for each in rest if each.startswith("-") and each != "--"]
        if not flags:
            return f"unexpected argument {rest[0]!r}"
        known = [option for action in self._actions for option in action.option_strings]
        return "; ".join(f"unknown flag {flag}{suggest(flag, known)}" for flag in flags)

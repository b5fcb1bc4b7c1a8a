"""User mistakes: what is wrong, where it was asked for, what was expected and the nearest valid name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""Keys from the top of a file to a value, such as `("space", "lr0", "low")`; a list's items count from 0."""

FEW_NAMES = 12
PASSWORD = re.compile(r"(\w://[^\s/:@]*):[^\s/]+@")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake of the user. `file` is a path or a flag such as `--set train.lr0=x`; `line` counts from 1."""

    file: str | None
    line: int | None
    key: str | None
    message: str

    def __str__(self) -> str:
        """As compilers print it: `detr.yaml:12: space.lr0.low: expected ..., did you mean 'x'?`; no URL's password."""
        place = self.file if self.file is None or self.line is None else f"{self.file}:{self.line}"
        return masked(": ".join(part for part in (place, self.key, self.message) if part))


class UserError(Exception):
    """Anything that the user can mend: printed without a traceback, one problem a line, and exit status 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[UserError], tuple[list[Problem]]]:
        """Survives the way between processes, which rebuild an exception from its arguments."""
        return type(self), (self.problems,)


def masked(text: str) -> str:
    """The text with the password of every URL in it replaced by `***`."""
    return PASSWORD.sub(r"\1:***@", text)


def raise_for(problems: Iterable[Problem]) -> None:
    """Raise one `UserError` with all problems; nothing happens if there are none."""
    if listed := list(problems):
        raise UserError(listed)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: a line of a file, or a flag."""

    file: str | None
    line: int | None = None


class Origins:
    """Where each value of a space comes from; a value that is not listed comes from where its parent does."""

    def __init__(self, places: Mapping[KeyPath, Origin] | None = None) -> None:
        self._places = dict(places or {})

    def at(self, path: KeyPath) -> Origin:
        """Origin of the value at `path`."""
        for length in range(len(path), -1, -1):
            if origin := self._places.get(path[:length]):
                return origin
        return Origin(None)

    def replace(self, path: KeyPath, origin: Origin) -> None:
        """Let the value at `path`, with everything under it, come from `origin`."""
        self._places = {key: place for key, place in self._places.items() if key[: len(path)] != path}
        self._places[path] = origin

    def move_below(self, path: KeyPath, key: str) -> None:
        """Let what is below `path` be found below `key` of it, as when a list of choices gets its name."""
        length = len(path)
        self._places = {
            (*path, key, *place[length:]) if place[:length] == path and len(place) > length else place: origin
            for place, origin in self._places.items()
        }

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem with the value at `path`."""
        origin = self.at(path)
        key = ".".join(map(str, path))
        return Problem(origin.file, origin.line, (key if key.isprintable() else repr(key)) or None, message)


LOOK_ALIKE = str.maketrans("01", "ol")


def suggest(name: object, names: Iterable[str]) -> str:
    """`, did you mean 'x'?` with the nearest of `names`; if none is near and they are few, all of them."""
    known = list(names)
    stem = _without_suffix(str(name))
    folded = {_without_suffix(each): each for each in reversed(known)}
    if near := difflib.get_close_matches(stem, folded, n=1, cutoff=0.6):
        return f", did you mean '{folded[near[0]]}'?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= FEW_NAMES else ""


def _without_suffix(name: str) -> str:
    """What is compared of a name: the ending of a file makes any two alike, and `lro` is `lr0` misread."""
    return re.sub(r"\.(ya?ml|pt)$", "", name.casefold()).translate(LOOK_ALIKE)


def counted(count: float, noun: str) -> str:
    """`1 trial`, `32 trials`, `0.5 CPUs`, for messages."""
    return f"{count if isinstance(count, int) else f'{count:g}'} {noun}{'' if count == 1 else 's'}"

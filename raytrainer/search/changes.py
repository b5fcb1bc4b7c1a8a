"""Whether a space is still the one that its study was begun with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from raytrainer.config.named_files import same_file
from raytrainer.config.problems import KeyPath, Problem
from raytrainer.config.space import Space

FREE: frozenset[KeyPath] = frozenset(
    [(key,) for key in ("name", "storage", "keep", "failures")]
    + [("resources", key) for key in ("cpus", "gpus", "cpus_per_rank", "gpus_per_rank", "spread", "max_concurrent")]
    + [("search", key) for key in ("trials", "budget", "min_gain")]
)
"""What may change between two starts of a study: where it lies, how much of it there is, what it runs on.

Not the number of ranks: each has its own share of every batch, and a trial that had begun could not go on.
"""

OF_A_POPULATION: frozenset[KeyPath] = frozenset({("search", "trials")})
"""What is free only without a schedule: the trials of a population go through it together."""

Plain = Mapping[str, Any]


def resolved(space: Space) -> dict[str, Any]:
    """The space as JSON data, every default filled in."""
    data: dict[str, Any] = json.loads(json.dumps(space.to_plain()))
    return data


def differences(stored: Plain, space: Space) -> dict[KeyPath, Problem]:
    """The values, fixed or of a searched parameter, that differ from the stored `resolved` space, and what to say.

    Keys that are newer than the stored space count as their defaults there, so that a newer version of this package
    can go on with a study. A file may lie elsewhere than it did (see `same_file`).
    """
    defaults = _fixed(resolved(Space(model=space.model, data=space.data)))
    then, now = {**defaults, **_fixed(stored)}, _fixed(resolved(space))
    changed = [path for path in {**now, **then} if _shown(path, then) != _shown(path, now)]
    changed = [path for path in changed if not same_file(path, then.get(path), now.get(path))]
    return {
        path: space.problem(path, f"the study was begun with {_shown(path, then)}, now it is {_shown(path, now)}")
        for path in changed
    }


def _shown(path: KeyPath, values: Mapping[KeyPath, Any]) -> str:
    return json.dumps(values[path]) if path in values else "nothing"


def _fixed(data: Plain) -> dict[KeyPath, Any]:
    free = FREE - OF_A_POPULATION if data["search"].get("schedule") else FREE
    return {path: value for path, value in _leaves(data) if not any(path[: len(each)] == each for each in free)}


def _leaves(data: Plain, above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value

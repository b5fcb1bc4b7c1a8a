"""What a study was searching before it was extended, so that the trials of that time can be drawn again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from raytrainer.config.parameters import Parameter, parameter_of
from raytrainer.config.space import Space

EARLIER = "earlier"
"""Study attribute: `[{"until": trials, "space": parameters}, ...]`, an item for each extension. Absent without one, and
for those that earlier versions took."""

Plain = Mapping[str, Any]


@dataclass(frozen=True)
class Earlier:
    """What was searched up to an extension."""

    until: int
    """Trials that there were by then."""
    space: Mapping[str, Parameter]


def earlier_and(attrs: Plain, trials: int, then: Plain) -> list[dict[str, Any]]:
    """The attribute of a study of so many trials that goes on from the stored space `then` with a wider one."""
    return [*attrs.get(EARLIER, ()), {"until": trials, "space": then["space"]}]


def earlier_of(attrs: Plain) -> tuple[Earlier, ...]:
    """What stands in the attributes of a study, in the order of the extensions."""
    return tuple(
        Earlier(each["until"], {name: parameter_of(plain) for name, plain in each["space"].items()})
        for each in attrs.get(EARLIER, ())
    )


def eras(space: Space, earlier: Sequence[Earlier], trials: int) -> Iterator[tuple[range, Space]]:
    """The first so many trials, by what they were drawn from; `space` is what the study came to."""
    searched = [*(space.model_copy(update={"space": dict(each.space)}) for each in earlier), space]
    bounds = [0, *(min(each.until, trials) for each in earlier), trials]
    for (begin, end), one in zip(pairwise(bounds), searched, strict=True):
        if begin < end:
            yield range(begin, end), one

"""Early stopping in words: at which epochs a study compares its trials, and what speaks against that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from raytrainer.config.problems import counted
from raytrainer.search.grace import unfrozen, warm_up
from raytrainer.search.rungs import first_rung, full_length, rungs_of
from raytrainer.search.stopping import STARTUP

if TYPE_CHECKING:
    from raytrainer.config.problems import Problem
    from raytrainer.config.space import Space

NONE = "none"


def how_it_searches(space: Space) -> str:
    """Such as `sampler auto, pruner asha at epochs 6 and 18`, or `schedule pbt`."""
    schedule = space.search.schedule
    return f"schedule {schedule}" if schedule else f"sampler {space.search.sampler}, {stopping_rule(space)}"


def stopping_rule(space: Space) -> str:
    """Such as `pruner asha at epochs 6 and 18`, or `pruner none`."""
    pruner, levels = space.search.pruner, [str(level) for level in rungs_of(space)]
    if pruner == NONE:
        return f"pruner {NONE}"
    if not levels:
        return f"pruner {pruner}, which stops nobody"
    if pruner == "median":
        return f"pruner {pruner} from epoch {levels[0]} on, once {STARTUP} trials are complete"
    if len(levels) == 1:
        return f"pruner {pruner} at epoch {levels[0]}"
    return f"pruner {pruner} at epochs {', '.join(levels[:-1])} and {levels[-1]}"


def stops_nobody(space: Space) -> Iterator[Problem]:
    """A problem for a pruner whose first epoch no trial goes beyond."""
    search, first, full = space.search, first_rung(space), full_length(space)
    if search.pruner == NONE or first < full:
        return
    message = f"{search.pruner} stops nobody: of {counted(full, 'epoch')}, trials are first compared at epoch {first}"
    if search.min_epochs is not None:
        yield space.problem(("search", "min_epochs"), message)
        return
    after = " and ".join(_tell_little(space, 1))
    message += f", after {after}" if after else ""
    yield space.problem(("search", "pruner"), f"{message}; with search.min_epochs they are earlier")


def idle(space: Space) -> Iterator[Problem]:
    """A problem for each option of early stopping that the pruner asked for does not look at."""
    search = space.search
    unused = {"min_epochs": (NONE,), "reduction_factor": (NONE, "median")}  # a schedule refuses them by itself
    for name, pruners in unused.items():
        if (
            search.pruner in pruners
            and not search.schedule
            and getattr(search, name) != type(search).model_fields[name].default
        ):
            yield space.problem(("search", name), f"has no effect: the pruner {search.pruner} does not look at it")


def too_early(space: Space) -> Iterator[Problem]:
    """A problem for a `min_epochs` at which curves mean little yet."""
    given = space.search.min_epochs
    if given is None or space.search.pruner == NONE:
        return
    if lasting := " and ".join(_tell_little(space, given)):
        message = f"trials are compared at epoch {given}, within {lasting}, when curves mean little"
        yield space.problem(("search", "min_epochs"), f"{message}; null waits for later ones")


def _tell_little(space: Space, epoch: int) -> list[str]:
    """The beginnings of a training that last until `epoch` at least."""
    lasting = {"warm-up": warm_up(space), "frozen layers": unfrozen(space)}
    return [f"{counted(end, 'epoch')} of {what}" for what, end in lasting.items() if end >= epoch]

"""The last line of a study: what was found, how much better it is than the defaults, how to train it again."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raytrainer.results.feasibility import verdict

if TYPE_CHECKING:
    from raytrainer.results.best import Best
    from raytrainer.search.views import TrialView


def announce(best: Best | None) -> str:
    """One line for the end of a study; also for one that found nothing."""
    if best is None:
        return "No trial has a fitness yet: nothing was written."
    told = found(best.trial, best.subject_to)
    gone = "" if best.weights is not None else " Its weights are not there any more."
    return f"{told}; {compared(best.trial, best.baseline)}.{gone} Retrain it: {retrain_command(best.file)}"


def found(trial: TrialView, subject_to: Sequence[str] = ()) -> str:
    """Which trial is best, whether it trained to its end, and what it violates."""
    unfinished = "" if trial.state == "complete" else f", {trial.state}, no trial has completed"
    text = f"Best fitness {trial.best_fitness:.4f} (trial {trial.number}, epoch {trial.best_epoch}{unfinished})"
    return ", ".join(filter(None, [text, verdict(trial, subject_to)]))


def compared(trial: TrialView, start: TrialView | None) -> str:
    """How a trial compares with the defaults, with what stands against believing it."""
    if start is None or start.best_fitness is None:
        return f"the defaults have no fitness to compare with{_reason(start)}"
    assert trial.best_fitness is not None
    if trial.number == start.number:
        return "nothing better than the defaults was found, these are the defaults"
    if trial.feasible and not start.feasible:
        return f"the defaults reach {start.best_fitness:.4f}, but violate a constraint"
    gain = difference(trial.best_fitness, start.best_fitness)
    if trial.best_fitness <= start.best_fitness:
        return f"not better than the defaults: {gain} against their {start.best_fitness:.4f}"
    stopped = "" if start.state == "complete" else f", {start.state} after epoch {start.last_epoch}"
    return f"{gain} over the defaults' {start.best_fitness:.4f}{stopped}; one seed each, so part of it can be noise"


def difference(value: float, start: float) -> str:
    """The absolute difference, and the relative one where it means something: `+0.0332 (+16.8 %)`."""
    gain = value - start
    share = f" ({gain / start:+.1%})".replace("%", " %") if start > 0 and math.isfinite(gain / start) else ""
    return f"{gain:+.4f}{share}"


def left_out(images: Mapping[str, str]) -> Iterator[str]:
    """A line for the images that training leaves out, given with their reasons; none if there are none."""
    if images:
        image, why = next(iter(images.items()))
        several = f"{len(images)} images are" if len(images) > 1 else "1 image is"
        first = "the first is " if len(images) > 1 else ""
        yield f"{several} left out as corrupt; {first}{image}: {why}"


def retrain_command(file: Path) -> str:
    """The command that trains a best.yaml again, as one would type it in the working directory."""
    return f"raytrainer train {shlex.quote(shown(file))}"


def shown(path: Path) -> str:
    """A path for the reader: relative if it lies below the working directory."""
    absolute, here = Path(os.path.abspath(path)), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def _reason(start: TrialView | None) -> str:
    if start is None:
        return ""
    return f" (trial 0 {start.state}{': ' + start.reason if start.reason else ''})"

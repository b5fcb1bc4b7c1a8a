"""The state of a study, from its files alone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from raytrainer.config.problems import counted
from raytrainer.config.storage import PASSWORD, Storage
from raytrainer.results.announcement import shown
from raytrainer.results.cost import cost_of, told
from raytrainer.results.disk_use import disk_use, size
from raytrainer.results.live import Asked, LiveView
from raytrainer.results.outlook import outlook
from raytrainer.results.stopped import stopped
from raytrainer.results.tally import duration

if TYPE_CHECKING:
    from raytrainer.results.saved import SavedStudy


class Status:
    """A study at one moment, to be printed by rich: the table of the live display, and whether anybody runs it."""

    def __init__(self, study: SavedStudy) -> None:
        self._study = study

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live table, the disk, the driver, how to go on."""
        study = self._study
        yield LiveView(study.trials, Asked.of(study.space), driven=study.driver is not None, standing=study.standing)
        if (taken := told(cost_of(study.folder, (view.number for view in study.trials)))) is not None:
            yield Text(taken, "dim")
        yield Text(_when(self._study), "dim")
        if used := disk_use(study.folder.path):
            yield Text(f"{size(used)} on disk", "dim")
        yield Text(activity(self._study), overflow="fold")


def activity(study: SavedStudy) -> str:
    """Who runs the study, or how to go on with it; one line, or two if it is over and what more would do is known."""
    if study.driver is not None:
        return f"{study.driver} is running it"
    if (why := why_stopped(study)) is not None:
        return f"nobody is running it. {why}"
    standing = study.standing
    if standing.over:
        lines = outlook(study.space, study.trials, standing, lambda flags: continue_command(study, flags))
        return "\n".join([_over(study), *lines])
    left = sum(view.state in ("running", "paused") for view in study.trials)
    goes_on = "goes on where it was" if left == 1 else "go on where they were"
    begun = f"; {counted(left, 'trial')} that it had begun {goes_on}" if left else ""
    return f"nobody is running it. Go on: {continue_command(study)}{begun}"


def _over(study: SavedStudy) -> str:
    """How far its trials got: those of a budget that is spent may be paused."""
    paused = sum(view.state == "paused" for view in study.trials)
    are = "is" if paused == 1 else "are"
    return f"its budget is spent; {counted(paused, 'trial')} {are} paused" if paused else "all trials have ended"


def why_stopped(study: SavedStudy) -> str | None:
    """Why it stopped by itself, and what to do; None if it did not, or somebody runs it again."""
    if study.broken is None or study.driver is not None:
        return None
    mended = f"Once that is mended, go on: {continue_command(study)}"
    return stopped(study.broken, study.trials, study.folder, mended)


def continue_command(study: SavedStudy, flags: Sequence[str] = ()) -> str:
    """The command that goes on with a study, as one would type it in the working directory, with further flags."""
    if not study.folder.space.is_file():
        more = f" with {shlex.join(flags)}" if flags else ""
        return f"the command that began it{more}, since {shown(study.folder.space)} is missing"
    return continuing(study.folder.path, study.folder.space, study.space.storage, study.space.name, flags)


def continuing(folder: Path, space: Path, storage: Storage, name: str, flags: Sequence[str] = ()) -> str:
    """The same for a study whose folder may have been moved or renamed since its space was written.

    `flags` are those that are part of no space, such as `--address`.
    """
    command = ["raytrainer", "tune", "--space", shown(space)]
    if storage.url is None and folder.resolve() != (Path(storage.folder) / name).resolve():
        command += ["--storage", shown(folder.resolve().parent), "--name", folder.resolve().name]
    command += flags
    hidden = storage.url is not None and storage.url.password is not None
    return shlex.join(command) + (f" (with the password of its storage in {PASSWORD})" if hidden else "")


def _when(study: SavedStudy) -> str:
    starts = [view.started for view in study.trials if view.started is not None]
    if not starts:
        return "no trial has started"
    ends = [view.ended for view in study.trials if view.ended is not None]
    began = f"began {min(starts):%Y-%m-%d %H:%M}"
    if not ends:
        return began
    ago = duration((datetime.now() - max(ends)).total_seconds())
    return f"{began}, last trial ended {max(ends):%Y-%m-%d %H:%M} ({ago} ago)"

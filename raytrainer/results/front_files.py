"""The front as files: for each of its trials a `best.yaml` of its own, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raytrainer.results.best import Best, write_trial
from raytrainer.search.front import front
from raytrainer.search.views import TrialView

if TYPE_CHECKING:
    from raytrainer.config.layout import StudyFolder
    from raytrainer.config.space import Space


def write_front(folder: StudyFolder, space: Space, views: Sequence[TrialView], target: Path) -> list[Best]:
    """Write `0007.yaml` and `0007.pt` into `target` for each trial on the front, and remove those of all others.

    Args:
        folder: the study.
        space: its space, resolved.
        views: all of its trials as they are now.
        target: made if there is something to write.

    Returns:
        What was written, the best first objective first; nothing in a study of one objective.

    Raises:
        UserError: if a trial's checkpoint is broken.
    """
    if len(space.objectives) == 1:
        return []
    written = [write_trial(folder, space, views, view, target, f"{view.number:04d}") for view in front(views)]
    members = {best.file.stem for best in written}
    for file in target.glob("*"):
        if file.suffix in (".yaml", ".pt") and file.stem.isdecimal() and file.stem not in members:
            file.unlink()
    return written

"""Remove the weights of trials that lost, so that a study of a thousand trials fits on a disk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raytrainer.results.ranking import ranking
from raytrainer.search.front import front
from raytrainer.search.views import TrialView

if TYPE_CHECKING:
    from raytrainer.config.layout import StudyFolder

log = logging.getLogger(__name__)

ENDED = frozenset({"complete", "pruned", "failed"})


def sweep(folder: StudyFolder, views: Sequence[TrialView], keep: str) -> int:
    """Delete what `keep` does not keep of the trials that have ended; safe to call again at any time.

    Args:
        folder: the study.
        views: all of its trials as they are now.
        keep: `best`, `top-<k>` or `all`. The kept trials keep `best.pt`; with `all`, every checkpoint. The state
            for an exact resume goes from every trial that has ended. The best trial so far always keeps `best.pt`, and
            so does every trial on the front of several objectives; trials that still run, records, settings and logs
            are never touched.

    Returns:
        The bytes that were freed.
    """
    kept = _kept(views, keep)
    freed = 0
    for view in views:
        if view.state in ENDED:
            there = _files(folder.trial(view.number) / "weights")
            freed += sum(_delete(path) for path in there if not _stays(path.name, view.number in kept, keep))
    return freed


def _kept(views: Sequence[TrialView], keep: str) -> set[int]:
    if keep == "all":
        return {view.number for view in views}
    count = int(keep.removeprefix("top-")) if keep.startswith("top-") else 1
    # Whoever leads among the ended is kept beside a leader that still runs: that one may yet fail.
    ended = [view for view in ranking(views) if view.state in ENDED]
    return {view.number for view in (*ended[:count], *front(ended), *front(views))}


def _stays(name: str, kept: bool, keep: str) -> bool:
    if keep == "all":  # last.pt and those of save_period too, but no state and nothing half written
        return not name.startswith(("state.", "."))
    return name == "settings.yaml" or (kept and name == "best.pt")


def _files(weights: Path) -> list[Path]:
    try:
        return list(weights.iterdir())
    except OSError:  # there are none yet, or their disk is gone
        return []


def _delete(path: Path) -> int:
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:  # what cannot be deleted costs disk, which is no reason to end a study
        log.warning("%s is not needed any more and could not be deleted: %s", path, error)
        return 0
    return size

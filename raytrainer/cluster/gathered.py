"""The files that a space names, in the study's folder, where every node of a cluster finds them at the same path."""

from __future__ import annotations

import filecmp

from raytrainer.config.layout import StudyFolder
from raytrainer.config.named_files import named_files, renamed
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space
from raytrainer.trainer import atomic


def gathered(space: Space, folder: StudyFolder, *, by_name: bool = False) -> Space:
    """Copy what a space names into its study's folder, and name the copies in its place.

    The dataset is not copied: it is found on each node at its path, or fetched there from its URI.

    Args:
        space: the space.
        folder: the study's folder; storage that all nodes see.
        by_name: also copy checkpoints that Ultralytics has downloaded here by their names.

    Raises:
        UserError: if the study was begun with another file of the same name.
    """
    kept = {}
    for key, file in named_files(space, by_name=by_name).items():
        kept[key] = folder.files / str(key[-1]) / file.name
        if not kept[key].exists():
            kept[key].parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(kept[key], file.read_bytes())
        elif not filecmp.cmp(file, kept[key], shallow=False):
            begun = f"the study was begun with another {file.name}, {kept[key]}"
            raise UserError([space.problem(key, f"{begun}: put it back, or choose another --name")])
    return renamed(space, kept)

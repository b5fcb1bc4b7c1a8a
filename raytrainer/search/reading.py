"""A look at a study from outside, while its driver writes it or after."""

from __future__ import annotations

from pathlib import Path

from optuna.storages.journal import JournalFileBackend

from raytrainer.config.layout import StudyFolder
from raytrainer.search.journal import open_storage
from raytrainer.search.views import TrialView, view_of


def read_views(folder: Path) -> list[TrialView]:
    """Every trial of the study in `folder`, by number. Takes no lock and changes nothing; an unfinished last line is
    not seen.

    Raises:
        FileNotFoundError: if there is no study.
        UserError: if its file cannot be read.
    """
    path = StudyFolder(folder).journal
    if not path.is_file():
        raise FileNotFoundError(path)
    storage = open_storage(JournalFileBackend(str(path)), path)
    return [view_of(trial) for study in storage.get_all_studies() for trial in storage.get_all_trials(study._study_id)]

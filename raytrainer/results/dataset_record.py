"""The mark of a dataset, by which a retraining notices that it is another."""

from __future__ import annotations

from raytrainer.config.dataset import fingerprint, read_dataset
from raytrainer.config.model_file import model_facts
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space
from raytrainer.results.best_file import DatasetRecord


def dataset_record(space: Space) -> DatasetRecord | None:
    """The dataset as it is now; None if it cannot be read, which must not cost a study its result."""
    try:
        dataset = read_dataset(space.data, classify=model_facts(space.model).task == "classify")
        mark = fingerprint(dataset)
    except (UserError, OSError):
        return None
    return DatasetRecord(
        fingerprint=mark, names=dataset.names, train_images=len(dataset.train), val_images=len(dataset.val)
    )

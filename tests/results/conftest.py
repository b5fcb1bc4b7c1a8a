"""A small real study without Ray: two trials of two epochs, trained here, told to the study as a driver tells them."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pytest

from raytrainer.config.assemble import assemble
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.results.best import write_best
from raytrainer.search.study import Study
from raytrainer.trainer.run import train

THREADS = 1

SPACE = """
    model: {model}
    data: {data}
    fitness: 0.9*mAP50-95 + 0.1*mAP50 + 0.001*recall
    train: {{epochs: 2, imgsz: 64, batch: 4, optimizer: AdamW, workers: 0, amp: false, plots: false, device: cpu}}
    trainer: {{class_weights: inverse_frequency}}
    search: {{trials: 2, seed: 3, pruner: none}}
    resources: {{cpus: 1, gpus: 0}}
    storage: {storage}
    name: cells
    space:
      lr0: {{low: 1e-4, high: 1e-2, log: true, default: 0.002}}
      backbone_lr_ratio: {{low: 0.05, high: 1.0, log: true, default: 0.1}}
      class_weights_power: {{low: 0.0, high: 1.0, default: 0.5}}
"""


def run_trials(study: Study, folder: StudyFolder) -> None:
    """What a driver does, without a cluster."""
    while (handle := study.ask()) is not None:
        config = assemble(study.space, handle.params)
        study.note(handle.number, threads=THREADS, ranks=1)
        result = train(config, folder.trial(handle.number), threads=THREADS, final_eval=False)
        for record in result.records:
            study.report(handle.number, record.epoch, record.fitness)
        study.finish(handle.number, "complete")


@pytest.fixture(scope="session")
def trained_study(tmp_path_factory: pytest.TempPathFactory, bccd: Path, pretrained: Path) -> StudyFolder:
    """A study that has ended, in `<storage>/cells`, with its best written; not to be changed."""
    storage = tmp_path_factory.mktemp("runs")
    model = shutil.copy(pretrained, storage.parent / "model.pt")
    file = storage / "cells.yaml"
    file.write_text(textwrap.dedent(SPACE.format(model=model, data=bccd, storage=storage)))
    space, folder = load_space(file), StudyFolder(storage / "cells")
    with Study.open(folder.path, space) as study:
        folder.space.write_text(space.to_yaml())
        run_trials(study, folder)
        write_best(folder, space, study.snapshot())
    return folder

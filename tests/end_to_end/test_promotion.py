"""A study that pauses real trials: what went on is, to the last digit, what one training would have been."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

from end_to_end.conftest import records_of, run_verb
from raytrainer.config.assemble import assemble
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.results.saved import read_study
from raytrainer.search.replay import replay
from raytrainer.trainer.records import EpochRecord, read_records
from raytrainer.trainer.run import train

SPACE = """
    model: {model}
    data: {data}
    fitness: mAP50-95 + 10*GFLOPs
    train: {{epochs: 4, batch: 4, nbs: 8, optimizer: AdamW, close_mosaic: 1, plots: false, amp: false,
             warmup_epochs: 2, workers: 0}}
    search: {{trials: 6, seed: 6, sampler: random, pruner: asha-promote, min_epochs: 1, reduction_factor: 2}}
    resources: {{cpus: 1, gpus: 0, max_concurrent: 1}}
    space:
      imgsz: {{choices: [64, 96, 128, 160]}}
      lr0: {{low: 1.0e-4, high: 1.0e-2, log: true, default: 0.002}}
"""
"""Larger images are better: 64, 160, 96, 64, 96 and 96 pixels come, so that some go on at once, some later, some never.
Pauses fall into the warm-up, between two halves of a batch of `nbs`, and before mosaic ends."""


def test_trials_that_paused_are_as_if_they_had_not(tmp_path: Path, yolo_tiny: Path, bccd: Path) -> None:
    file, folder = tmp_path / "cells.yaml", StudyFolder(tmp_path / "runs" / "cells")
    file.write_text(textwrap.dedent(SPACE.format(model=yolo_tiny, data=bccd)))
    run_verb(tmp_path, "--space", file)
    study, space = read_study(str(folder.path)), load_space(folder.space)

    assert [(view.state, view.last_epoch) for view in study.trials] == [
        ("complete", 4), ("complete", 4), ("complete", 4), ("pruned", 1), ("pruned", 2), ("pruned", 1)
    ]  # fmt: skip
    assert {view.number: view.promoted for view in study.trials if view.promoted} == {2: 2, 4: 1}
    assert all(one.agrees for one in replay(space, study.trials) if one.again is not None)
    for number in (2, 4):
        view, whole = study.trials[number], tmp_path / f"whole{number}"
        train(assemble(space, view.params), whole, threads=int(view.notes["threads"]), final_eval=False)
        paused, once = records_of(folder, number), read_records(whole / "records.jsonl")
        assert [record.epoch for record in paused] == list(range(1, view.last_epoch + 1)), "each epoch once"
        assert lasting(paused) == lasting(once[: view.last_epoch])


def lasting(records: list[EpochRecord]) -> list[str]:
    """All of each but what the clock and the machine have measured; as text, since some metrics are NaN."""
    kept = [replace(record, epoch_seconds=0.0, peak_memory=0) for record in records]
    return [repr(replace(record, metrics={**record.metrics, "latency_ms": 0.0})) for record in kept]

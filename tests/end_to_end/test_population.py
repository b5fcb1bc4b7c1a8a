"""Values that change while real trials train: through kills, and again from best.yaml in one training."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from faults.conftest import YOLO, Laboratory, family, kill_all, running

from raytrainer.config.assemble import assemble
from raytrainer.config.load import load_space
from raytrainer.config.space import Space
from raytrainer.results.best import write_trial
from raytrainer.results.best_file import BestFile
from raytrainer.results.retrain import retrain
from raytrainer.results.saved import read_study
from raytrainer.search.study import Study, TrialHandle
from raytrainer.search.views import TrialView
from raytrainer.trainer.handover import take_over
from raytrainer.trainer.records import EpochRecord, read_records
from raytrainer.trainer.run import StopTraining, train

SPACE = """
    model: {model}
    data: {data}
    train: {{epochs: 3, imgsz: {imgsz}, batch: 4, nbs: 8, optimizer: AdamW, plots: false, amp: false,
             warmup_epochs: 0, close_mosaic: 0, workers: 0}}
    search: {{trials: {trials}, seed: 5, schedule: pbt, perturbation_interval: {every}, quantile_fraction: 0.5}}
    resources: {{cpus: 1, gpus: 0, max_concurrent: 1}}
    space:
      lr0: {{low: 1.0e-5, high: 6.0e-3, log: true, default: 5.0e-3}}
      mosaic: {{low: 0.0, high: 1.0, default: 0.0}}
      class_weights.Platelets: {{low: 1, high: 5, log: true, default: 1}}
      backbone_lr_ratio: {{low: 0.5, high: 1.0, default: 1.0}}
"""


def laboratory(folder: Path, **values: Any) -> Laboratory:
    folder.mkdir(exist_ok=True)
    space = folder / "cells.yaml"
    space.write_text(textwrap.dedent(SPACE).format(**values))
    return Laboratory(folder, space)


def run_here(lab: Laboratory) -> list[TrialView]:
    """The whole study in this process, without Ray."""
    space, folder = load_space(lab.space), lab.study
    with Study.open(folder.path, space) as study:
        folder.space.write_text(space.to_yaml())
        study.turning.hand_over = lambda source, target: take_over(folder.trial(source), folder.trial(target))
        while (handle := study.ask()) is not None:
            study.note(handle.number, threads=1, ranks=1)
            _train(study, space, handle)
        return study.snapshot()


def _train(study: Study, space: Space, handle: TrialHandle) -> None:
    def report(record: EpochRecord) -> None:
        study.report(handle.number, record.epoch, record.fitness)
        if study.should_stop(handle.number):
            study.give_up(handle.number)
            raise StopTraining

    config = assemble(space, handle.params, handle.amended, handle.later)
    try:
        train(config, study.folder.trial(handle.number), threads=1, on_epoch=report, final_eval=False)
    except StopTraining:
        return
    study.finish(handle.number, "complete")


def told(records: list[EpochRecord]) -> list[Any]:
    return [(r.epoch, r.fitness, r.best_fitness, r.metrics, r.losses, r.lr, r.grad_norm) for r in records]


def trained_again(lab: Laboratory, view: TrialView, target: Path) -> tuple[BestFile, list[Any]]:
    """What a best.yaml of a trial holds, and what one training gives by it."""
    study = read_study(str(lab.study.path))
    best = write_trial(lab.study, study.space, study.trials, view, target)
    retrain(best.file, target / "run")
    return BestFile.read(best.file), told(read_records(target / "run" / "records.jsonl"))


def test_a_killed_driver_ends_with_the_same_study_and_a_clone_is_trained_again(tmp_path: Path, bccd: Path) -> None:
    asked = {"model": YOLO, "data": bccd, "imgsz": 64, "trials": 3, "every": 1}
    undisturbed, killed = laboratory(tmp_path / "undisturbed", **asked), laboratory(tmp_path / "killed", **asked)
    whole = run_here(undisturbed)
    with running(killed.start()) as driver:
        killed.wait_for_epochs(4, driver)  # three trials and one more epoch: the second generation
        kill_all(family(driver))
    killed.finish()
    views = read_study(str(killed.study.path)).trials
    assert killed.outcome() == undisturbed.outcome()
    assert [view.lineage for view in views] == [view.lineage for view in whole]

    clone = max(views, key=lambda view: len(view.lineage))
    best, again = trained_again(killed, clone, tmp_path / "again")
    assert [stage.epoch for stage in best.schedule] == [2, 3]
    assert any(stage.values for stage in best.schedule)
    assert again == told(read_records(killed.study.records(clone.number)))


def test_a_schedule_gives_the_fitness_of_the_study(tmp_path: Path, bccd: Path, pretrained: Path) -> None:
    """Long enough for a fitness above 0: the worse trial goes on from the better one."""
    images = ", ".join(["images/train"] * 4)
    data = tmp_path / "data.yaml"
    data.write_text(bccd.read_text().replace("train: images/train", f"path: {bccd.parent}\ntrain: [{images}]"))
    lab = laboratory(tmp_path / "lab", model=pretrained, data=data, imgsz=96, trials=2, every=2)
    baseline, clone = run_here(lab)
    assert [stage.trial for stage in clone.lineage] == [0, 0]
    assert clone.best_fitness
    assert clone.values[2] == baseline.values[2]
    best, again = trained_again(lab, clone, tmp_path / "again")
    assert best.schedule[0].values["lr0"] != best.train["lr0"]
    assert again[-1][2] == best.best_fitness == clone.best_fitness
    assert again == told(read_records(lab.study.records(1)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lr0=0.1", "changes while it trains: edit the schedule"),
        ("epochs=2", "the last values come into force at epoch 3, and there are 2"),
    ],
)
def test_flags_that_contradict_a_schedule_are_told(
    tmp_path: Path, bccd: Path, given: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from raytrainer.cli import main

    best = BestFile(
        model=str(YOLO), data=str(bccd), fitness="mAP50-95", train={"epochs": 3, "lr0": 0.01}, trainer={}, params={},
        schedule=[{"epoch": 3, "trial": 1, "values": {"lr0": 0.02}}], best_fitness=None, best_epoch=None,
        baseline_fitness=None, seed=0, threads=1, versions={}, dataset=None,
        study={"name": "cells", "trial": 1, "state": "complete", "trials": 2},
    )  # fmt: skip
    best.write(tmp_path / "best.yaml")
    assert main(["train", str(tmp_path / "best.yaml"), given, "--storage", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err

"""The best trial trained again gives the same, and what is asked for differently is trained differently."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from raytrainer.cli import main
from raytrainer.config.assemble import assemble
from raytrainer.config.layout import StudyFolder
from raytrainer.config.problems import UserError
from raytrainer.results.best_file import BestFile
from raytrainer.results.request import Change, request
from raytrainer.results.retrain import departures, retrain
from raytrainer.results.saved import read_study
from raytrainer.trainer.records import read_records

OF_THE_MOMENT = {"epoch_seconds", "peak_memory"}


def comparable(path: Path) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in asdict(r).items() if k not in OF_THE_MOMENT} for r in read_records(path / "records.jsonl")
    ]


def test_the_same_to_the_last_digit(trained_study: StudyFolder, tmp_path: Path) -> None:
    best = BestFile.read(trained_study.best / "best.yaml")
    result = retrain(trained_study.best / "best.yaml", tmp_path / "again")
    assert result.best_fitness == best.best_fitness
    assert comparable(tmp_path / "again") == comparable(trained_study.trial(best.study.trial))


def test_the_request_is_the_trial(trained_study: StudyFolder) -> None:
    """For every trial: what a best.yaml asks for is what the trial was given, key by key."""
    study, asked = read_study(str(trained_study.path)), request(trained_study.best / "best.yaml")
    assert asked.best is not None
    trial = next(view for view in study.trials if view.number == asked.best.study.trial)
    assert assemble(asked.space, {}) == replace(assemble(study.space, trial.params), params={})


def test_flags_go_before_the_file(trained_study: StudyFolder) -> None:
    changes = [
        Change("train.epochs", "7", "--epochs"),
        Change("train.lr0", "1e-3", "lr0=1e-3"),
        Change("trainer.class_weights", {"RBC": 2}, "--class-weights"),
        Change("fitness", "AP[RBC]", "--fitness"),
    ]
    config = assemble(request(trained_study.best / "best.yaml", changes).space, {})
    assert (config.train["epochs"], config.train["lr0"], config.train["imgsz"]) == (7, 0.001, 64)
    assert (config.settings.class_weights, config.settings.fitness) == ({"RBC": 2}, "AP[RBC]")


def test_without_a_file_a_loss_that_is_not_finite_is_recovered_from(bccd: Path) -> None:
    changes = [Change("model", "yolov8n.yaml", "--model"), Change("data", str(bccd), "--data")]
    assert assemble(request(None, changes).space, {}).settings.on_nan == "recover"
    changes.append(Change("trainer.on_nan", "fail", "--on-nan"))
    assert assemble(request(None, changes).space, {}).settings.on_nan == "fail"


def test_every_mistake_is_told_at_once() -> None:
    changes = [
        Change("train.epochs", "none", "--epochs"),
        Change("trainer.backbone_lr_ratio", "-1", "--backbone-lr-ratio"),
    ]
    with pytest.raises(UserError) as raised:
        request(None, changes)
    told = [str(problem) for problem in raised.value.problems]
    assert len(told) == 4
    assert any(line.startswith("--epochs: train.epochs: expected an integer") for line in told)
    assert any(
        line.startswith("--backbone-lr-ratio: trainer.backbone_lr_ratio: expected a number above 0") for line in told
    )
    assert any(line.startswith("model: is missing") for line in told)


def spoiled(trained_study: StudyFolder, target: Path, **changes: Any) -> Path:
    BestFile.read(trained_study.best / "best.yaml").model_copy(update=changes).write(target / "best.yaml")
    return target / "best.yaml"


def test_nothing_is_said_where_nothing_has_changed(trained_study: StudyFolder) -> None:
    assert departures(request(trained_study.best / "best.yaml")) == []


def test_other_versions_and_another_dataset_are_named(trained_study: StudyFolder, tmp_path: Path) -> None:
    best = BestFile.read(trained_study.best / "best.yaml")
    assert best.dataset is not None
    file = spoiled(
        trained_study, tmp_path, versions={**best.versions, "torch": "1.0"},
        dataset=best.dataset.model_copy(update={"fingerprint": "0", "train_images": 99}),
    )  # fmt: skip
    version, dataset = departures(request(file))
    assert version.startswith("torch was 1.0 and is ")
    assert "has changed: 99 training and 6 validation images then, 12 and 6 now" in dataset
    assert len(departures(request(file, [Change("data", best.data, "--data")]))) == 1


def test_the_verb(
    trained_study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained once, found finished the second time, refused when it is asked for differently."""
    monkeypatch.chdir(tmp_path)
    file = str(trained_study.best / "best.yaml")
    best = BestFile.read(Path(file))
    for again in (False, True):
        assert main(["train", file, "--name", "again"]) == 0
        said = capsys.readouterr()
        assert ("nothing was trained" in said.out) is again
        assert ("Platelets" in said.out) is again, "the trainer prints the classes, the verb does if nothing is trained"
        last = said.out.splitlines()[-1]
        assert last.startswith(f"Best fitness {best.best_fitness:.4f} at epoch ")
        assert last.endswith(
            " of 2, the same as the study's to the last digit. Weights: runs/train/again/weights/best.pt"
        )
        assert "warning" not in said.err
    assert main(["train", file, "--name", "again", "lr0=0.5"]) == 2
    assert "lr0: this training argument was" in capsys.readouterr().err

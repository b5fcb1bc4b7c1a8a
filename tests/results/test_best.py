"""best.pt loads in stock Ultralytics; best.yaml says all that a retraining needs, wherever the study is moved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from ultralytics import YOLO

from raytrainer.config.checkpoint_yaml import is_stripped
from raytrainer.config.layout import StudyFolder
from raytrainer.config.problems import UserError
from raytrainer.results.best import write_best, write_trial
from raytrainer.results.best_file import BestFile, located, portable
from raytrainer.results.ranking import ranking
from raytrainer.results.saved import SavedStudy, read_study
from raytrainer.results.versions import version_changes, versions
from raytrainer.results.weights import strip

from .trials import trial


@pytest.fixture
def study(trained_study: StudyFolder, tmp_path: Path) -> SavedStudy:
    """A copy of the trained study that a test may spoil."""
    copy = shutil.copytree(trained_study.path, tmp_path / "runs" / "cells")
    return read_study(str(copy))


def test_best_yaml_holds_what_was_trained(trained_study: StudyFolder) -> None:
    study = read_study(str(trained_study.path))
    best = BestFile.read(trained_study.best / "best.yaml")
    winner = ranking(study.trials)[0]
    assert best.params == dict(winner.params)
    assert (best.best_fitness, best.best_epoch) == (winner.best_fitness, winner.best_epoch)
    assert best.baseline_fitness == study.trials[0].best_fitness
    assert best.train["lr0"] == winner.params["lr0"]
    assert best.trainer["backbone_lr_ratio"] == winner.params["backbone_lr_ratio"]
    assert best.trainer["class_weights"] == "inverse_frequency"
    assert (best.seed, best.threads, best.train["epochs"]) == (3, 1, 2)
    assert best.versions == versions()
    assert best.dataset is not None
    assert (best.dataset.train_images, best.dataset.val_images) == (12, 6)
    assert best.study.model_dump() == {"name": "cells", "trial": winner.number, "state": "complete", "trials": 2}


def test_best_yaml_has_the_documented_keys(trained_study: StudyFolder) -> None:
    assert list(yaml.safe_load((trained_study.best / "best.yaml").read_text())) == [
        "model", "data", "fitness", "train", "trainer", "params", "best_fitness", "best_epoch", "baseline_fitness",
        "seed", "threads", "ranks", "versions", "dataset", "study",
    ]  # fmt: skip


def test_best_pt_loads_in_stock_ultralytics_and_is_small(trained_study: StudyFolder, bccd: Path) -> None:
    weights = trained_study.best / "best.pt"
    model = YOLO(weights)
    assert model.names == {0: "RBC", 1: "WBC", 2: "Platelets"}
    assert len(model.predict(next(bccd.parent.rglob("*.jpg")), imgsz=64, verbose=False)) == 1
    trained = next(trained_study.trials.glob("*/weights/best.pt"))
    assert weights.stat().st_size < trained.stat().st_size / 2
    assert YOLO(trained).ckpt["optimizer"] is not None, "the trial's own checkpoint is left alone"


def test_round_trip_to_the_last_digit(trained_study: StudyFolder, tmp_path: Path) -> None:
    best = BestFile.read(trained_study.best / "best.yaml")
    odd = best.model_copy(update={
        "best_fitness": 0.1 + 0.2, "train": {"lr0": 1e-05, "optimizer": "auto", "freeze": [0, 1], "close_mosaic": 0},
        "params": {"lr0": 1e-05, "name": "1e-5", "flag": True, "nothing": None},
        "trainer": {"class_weights": {"St. Bernard": 1.5, "no": 2.0}},
    })  # fmt: skip
    odd.write(tmp_path / "best.yaml")
    assert BestFile.read(tmp_path / "best.yaml") == odd
    assert [path.name for path in tmp_path.iterdir()] == ["best.yaml"]


def test_writing_again_replaces_both_files(study: SavedStudy) -> None:
    loser = ranking(study.trials)[1]
    before = (study.folder.best / "best.pt").read_bytes()
    write_trial(study.folder, study.space, study.trials, loser, study.folder.best)
    assert BestFile.read(study.folder.best / "best.yaml").study.trial == loser.number
    assert (study.folder.best / "best.pt").read_bytes() != before
    assert {path.name for path in study.folder.best.iterdir()} == {"best.pt", "best.yaml"}


def test_weights_that_are_gone(study: SavedStudy) -> None:
    """best.pt stays if only its source is gone, but never under the best.yaml of another trial."""
    shutil.rmtree(study.folder.trials)
    kept = write_best(study.folder, study.space, study.trials)
    assert kept is not None
    assert kept.weights == study.folder.best / "best.pt"
    other = write_trial(study.folder, study.space, study.trials, ranking(study.trials)[1], study.folder.best)
    assert other.weights is None
    assert not (study.folder.best / "best.pt").exists()


def test_a_dataset_that_is_gone_costs_no_result(study: SavedStudy, tmp_path: Path) -> None:
    space = study.space.model_copy(update={"data": str(tmp_path / "gone.yaml")})
    assert write_best(study.folder, space, study.trials) is not None
    assert BestFile.read(study.folder.best / "best.yaml").dataset is None


def test_nothing_is_written_without_a_fitness(study: SavedStudy, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "empty")
    assert write_best(folder, study.space, [trial(0, "failed", (0.1,)), trial(1, "running")]) is None
    assert not folder.path.exists()


def test_a_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_text("no weights")
    with pytest.raises(UserError, match="not an Ultralytics checkpoint"):
        strip(tmp_path / "best.pt", tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_a_checkpoint_that_a_trial_has_stripped_is_copied(trained_study: StudyFolder, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.pt", tmp_path / "twice.pt"
    trained = next(path for path in sorted(trained_study.trials.rglob("best.pt")) if not is_stripped(path))
    strip(trained, once)
    strip(once, twice)
    assert is_stripped(once)
    assert twice.read_bytes() == once.read_bytes()


def test_paths_survive_a_move_of_the_study(tmp_path: Path) -> None:
    best = tmp_path / "runs" / "a" / "best"
    best.mkdir(parents=True)
    inside, outside = tmp_path / "runs" / "a" / "base.pt", tmp_path / "data.yaml"
    for file in (inside, outside):
        file.touch()
    assert portable(str(inside), best) == "../base.pt"
    assert portable(str(outside), best) == str(outside)
    assert portable("yolo11n.pt", best) == "yolo11n.pt"
    moved = (tmp_path / "runs" / "a").rename(tmp_path / "runs" / "b")
    assert located("../base.pt", moved / "best") == str(moved / "base.pt")
    assert located("yolo11n.pt", moved / "best") == "yolo11n.pt"


BROKEN: list[tuple[str, str, str]] = [
    ("\nseed: 3", "\nseed: three", "seed: Input should be a valid integer"),
    ("\nthreads: 1", "\nthread: 1", "thread: unknown key, did you mean .threads."),
    ("\nfitness: ", "\nfitness: [", "not valid YAML"),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN)
def test_a_best_yaml_that_was_spoiled(
    trained_study: StudyFolder, tmp_path: Path, old: str, new: str, message: str
) -> None:
    spoiled = tmp_path / "best.yaml"
    spoiled.write_text((trained_study.best / "best.yaml").read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message) as raised:
        BestFile.read(spoiled)
    assert str(raised.value).startswith(f"{spoiled}")


def test_changed_versions_are_named() -> None:
    assert version_changes(versions()) == []
    assert version_changes({**versions(), "torch": "1.0"}) == [f"torch was 1.0 and is {versions()['torch']} here"]

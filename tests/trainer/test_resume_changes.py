"""What may go on and what may not: changes are refused with all differences, a finished run is only read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.engine.trainer import BaseTrainer

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer import state_file
from raytrainer.trainer.records import read_records
from raytrainer.trainer.resume import _overtaken, changed_arguments
from raytrainer.trainer.run import StopTraining, train

from .runs import differences, saved_state, stopper


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"folder": tmp_path_factory.mktemp("interrupted")}


@pytest.mark.parametrize(
    ("settings", "arguments", "messages"),
    [
        ({"clip_grad_norm": 0.1}, {}, ["clip_grad_norm: this setting was None when the run began and is 0.1 now"]),
        ({"fitness": "F1", "freeze": 3}, {}, ["freeze: this setting was None", "fitness: this setting was None"]),
        ({}, {"epochs": 7}, ["epochs: this training argument was 3 when the run began and is 7 now"]),
        ({}, {"batch": 6, "lr0": 0.1, "mosaic": 0.0}, ["batch: ", "lr0: ", "mosaic: "]),
        ({}, {"seed": 1, "device": "cpu", "plots": True, "workers": 3, "save_period": 1}, ["seed: "]),
    ],
)
def test_changes_are_refused_with_all_differences(
    settings: dict[str, Any], arguments: dict[str, Any], messages: list[str], interrupted: dict[str, Path], trial: Any
) -> None:
    if "config" not in interrupted:
        interrupted["config"] = trial()
        with pytest.raises(StopTraining):
            train(trial(), interrupted["folder"], threads=1, on_epoch=stopper(1))
    before = saved_state(interrupted["folder"])
    with pytest.raises(UserError) as error:
        train(trial(settings=Settings(**settings), **arguments), interrupted["folder"], threads=1)
    problems = [str(problem) for problem in error.value.problems]
    assert len(problems) == len(messages)
    assert all(message in problem for message, problem in zip(messages, problems, strict=True))
    assert list(differences(before, saved_state(interrupted["folder"]))) == []


def test_another_dataset_under_the_same_name_is_refused(trial: Any, bccd: Path, tmp_path: Path) -> None:
    """A dataset may have another path on another machine, but not other contents."""
    data = tmp_path / "data.yaml"
    data.write_text(f"path: {bccd.parent}\n{bccd.read_text()}")
    with pytest.raises(StopTraining):
        train(trial(epochs=2), tmp_path / "run", threads=1, on_epoch=stopper(1))
    moved = train(trial(epochs=2, data=str(data)), tmp_path / "run", threads=1, on_epoch=stopper(), final_eval=False)
    assert len(moved.records) == 2
    with pytest.raises(StopTraining):
        train(trial(epochs=2), tmp_path / "other", threads=1, on_epoch=stopper(1))
    data.write_text(data.read_text().replace("1: WBC", "1: white"))
    with pytest.raises(UserError, match="classes: this property of the run was"):
        train(trial(epochs=2, data=str(data)), tmp_path / "other", threads=1)


def test_a_finished_run_gives_its_result_without_training(
    trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = trial(epochs=2)
    first = train(config, tmp_path / "run", threads=1, final_eval=False)
    monkeypatch.setattr(BaseTrainer, "train", lambda _: pytest.fail("it trained again"))
    seen: list[int] = []
    again = train(config, tmp_path / "run", threads=1, on_epoch=lambda r: seen.append(r.epoch), replay=True)
    assert again == first
    assert seen == [1, 2]
    with pytest.raises(UserError, match="epochs: this training argument was 2"):
        train(trial(epochs=3), tmp_path / "run", threads=1)


def test_a_run_that_died_after_its_last_epoch_is_finished(
    trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An early stop is the last epoch too."""
    config = trial(epochs=5, patience=1, settings=Settings(fitness="0*mAP50 - 1"))
    with pytest.raises(StopTraining):
        train(config, tmp_path / "run", threads=1, on_epoch=stopper(2))
    assert (tmp_path / "run/weights/state.prev.pt").exists()
    monkeypatch.setattr(BaseTrainer, "train", lambda _: pytest.fail("it trained again"))
    result = train(config, tmp_path / "run", threads=1)
    assert [record.epoch for record in result.records] == [1, 2]
    assert torch.load(result.last, weights_only=False)["optimizer"] is None  # stripped, as at the end of any run
    assert not (tmp_path / "run/weights/state.prev.pt").exists()
    assert "model" not in (state_file.read_state(tmp_path / "run/weights") or {})


@pytest.mark.parametrize(("replay", "expected"), [(True, [1, 2, 3]), (False, [3])])
def test_earlier_records_are_replayed_if_asked_for(
    replay: bool, expected: list[int], trial: Any, tmp_path: Path
) -> None:
    with pytest.raises(StopTraining):
        train(trial(), tmp_path / "run", threads=1, on_epoch=stopper(2))
    seen: list[int] = []
    options = {"threads": 1, "final_eval": False, "replay": replay}
    train(trial(), tmp_path / "run", on_epoch=lambda record: seen.append(record.epoch), **options)
    assert seen == expected


def test_a_new_run_in_an_old_folder_forgets_the_old_one(trial: Any, tmp_path: Path) -> None:
    with pytest.raises(StopTraining):
        train(trial(), tmp_path / "run", threads=1, on_epoch=stopper(2))
    result = train(trial(epochs=1), tmp_path / "run", threads=1, resume=False, final_eval=False)
    assert [record.epoch for record in result.records] == [1]
    assert [record.epoch for record in read_records(tmp_path / "run/records.jsonl")] == [1]
    assert len((tmp_path / "run/results.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("state", "last_pt", "overtaken"),
    [(5, None, False), (5, 4, False), (5, 5, False), (5, 6, False), (5, 7, True), (5, 20, True)],
)
def test_a_run_that_stock_training_continued_is_not_turned_back(
    state: int, last_pt: int | None, overtaken: bool
) -> None:
    """last.pt counts epochs from 0 and is written before the state, which may be the one before the last."""
    assert _overtaken({"epoch": state}, None if last_pt is None else {"epoch": last_pt}) == overtaken


@pytest.mark.parametrize(
    ("now", "before", "changed"),
    [
        ({"lr0": 1, "batch": 4}, [{"lr0": 1, "batch": 4}], {}),
        ({"lr0": 1}, [{"lr0": 2, "cos_lr": True}], {"lr0": (2, 1), "cos_lr": (True, None)}),
        ({"batch": 12}, [{"batch": -1}, {"batch": 12}], {}),  # fitted to the GPU by the first run
        ({"batch": 13}, [{"batch": -1}, {"batch": 12}], {"batch": (-1, 13)}),
        ({"device": "0", "data": "/a", "save_dir": "x"}, [{"device": "cpu", "data": "/b"}], {}),
        ({"model": "/a/x.yaml", "pretrained": True}, [{"model": "/b/x.yaml", "pretrained": True}], {}),
        ({"model": "y.yaml"}, [{"model": "/b/x.yaml"}], {"model": ("/b/x.yaml", "y.yaml")}),
    ],
)
def test_which_arguments_changed(now: dict[str, Any], before: list[dict[str, Any]], changed: dict[str, Any]) -> None:
    assert changed_arguments(now, *before) == changed

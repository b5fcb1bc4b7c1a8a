"""A trial's actor, here in this process: it trains for real, without a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrainer.cluster.assignment import Assignment
from raytrainer.cluster.trial import TrialActor, trial_class
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Failures, Space
from raytrainer.results.cost import cost
from raytrainer.trainer.holdings import read_holdings
from raytrainer.trainer.records import read_records

ORDER = {"number": 0, "params": {}, "amended": {}}
Begin = Callable[..., TrialActor]


@pytest.fixture
def begin(tmp_path: Path, bccd: Path, yolo_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Starts the actor on trial 0 of a study in the test's folder."""
    import torch

    for variable in ("CUDA_VISIBLE_DEVICES", "YOLO_OFFLINE"):  # which the actor sets for its whole process
        monkeypatch.setenv(variable, "")

    StudyFolder(tmp_path).trials.mkdir()

    def start(on_oom: str = "fail") -> TrialActor:
        train = {"epochs": 2, "imgsz": 64, "batch": 4, "optimizer": "AdamW", "plots": False, "amp": False, "mosaic": 0}
        space = Space(
            model=str(yolo_tiny), data=str(bccd), train=train, failures=Failures(on_oom=on_oom),  # type: ignore[arg-type]
        )  # fmt: skip
        assignment = Assignment(space, StudyFolder(tmp_path), 1, 2, 0, torch.get_num_threads())
        return trial_class(assignment)(config=dict(ORDER))

    return start


def test_hours_are_those_of_all_its_processes(begin: Begin, tmp_path: Path) -> None:
    """The first is lost after an epoch, and says no more."""
    folder = StudyFolder(tmp_path)
    lost = begin()
    assert lost.step()["epoch"] == 1
    (first,), last_words = read_holdings(folder.holdings(0)), folder.holdings(0).read_bytes()
    lost.cleanup()
    folder.holdings(0).write_bytes(last_words)
    actor = begin()
    assert [actor.step().get("epoch") for _ in range(3)] == [1, 2, None], "the first is told again"
    same, second = read_holdings(folder.holdings(0))
    actor.cleanup()
    assert read_holdings(folder.holdings(0)) == [same, second], "it had ended before"
    assert same == first
    taken, epochs = cost(folder, 0), [record.epoch_seconds for record in read_records(folder.records(0))]
    assert len(epochs) == 2
    assert taken.cpu_hours == pytest.approx(2 * (first.seconds + second.seconds) / 3600)
    assert taken.gpu_hours == 0
    assert taken.trained == sum(epochs)
    assert epochs[0] < first.seconds
    assert epochs[1] < second.seconds


def test_one_that_is_stopped_is_held_until_it_is_left(begin: Begin, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    actor = begin()
    actor.step()
    (before,) = read_holdings(folder.holdings(0))
    actor.reset_config({**ORDER, "number": 1})
    (after,) = read_holdings(folder.holdings(0))
    assert after.seconds > before.seconds
    assert read_holdings(folder.holdings(1)) == []
    actor.cleanup()
    assert [each.stretch for each in read_holdings(folder.holdings(1))] != [after.stretch]


@pytest.mark.parametrize(("on_oom", "tried"), [("fail", []), ("retry", [2, 1])])
def test_a_gpu_that_is_out_of_memory_fails_the_trial_with_that_reason(
    on_oom: str, tried: list[int], begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with nothing else; after smaller batches were tried, if that is wanted."""
    import torch
    from ultralytics.nn.tasks import DetectionModel

    def loss(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(DetectionModel, "loss", loss)
    actor = begin(on_oom)
    amended = []
    while not (result := actor.step())["done"]:
        amended.append(dict(result["amended"])["batch"])
    actor.cleanup()
    assert amended == tried
    assert result["failed"].startswith("out of memory")

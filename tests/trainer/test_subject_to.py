"""Constraints decide before the fitness, and what an architecture costs is measured once and moves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics import YOLO

from raytrainer.config.constraints import RuledOut
from raytrainer.config.settings import Settings
from raytrainer.trainer.measured import Architecture, _put_first
from raytrainer.trainer.records import EpochRecord
from raytrainer.trainer.reporting import StopTraining
from raytrainer.trainer.run import train

from .runs import differences

Scripted = Callable[[Sequence[float]], str]


@pytest.mark.parametrize("kept", [True, False])
def test_best_pt_is_the_best_epoch_that_keeps_the_constraints(
    kept: bool, scripted: Scripted, trial: Any, tmp_path: Path
) -> None:
    """The fitness falls, recall is as it is; the bound is put between two epochs, or out of reach."""
    values, weights = [5.0, 4.0, 3.0, 2.0], {}

    def on_epoch(record: EpochRecord) -> None:
        weights[record.epoch] = torch.load(tmp_path / "run/weights/last.pt", weights_only=False)["ema"].state_dict()

    plain = train(trial(settings=Settings(fitness=scripted(values)), epochs=4), tmp_path / "plain", final_eval=False)
    losses = [record.losses["val/cls_loss"] for record in plain.records]
    recalls = [record.metrics["recall"] for record in plain.records]
    assert plain.best_epoch == 1
    assert len(set(losses)) == 4
    bound = sorted(recalls)[1] if kept else 7.0
    settings = Settings(fitness=scripted(values), subject_to=[f"recall >= {bound!r}"])
    result = train(trial(settings=settings, epochs=4), tmp_path / "run", on_epoch=on_epoch, final_eval=False)
    assert [record.losses["val/cls_loss"] for record in result.records] == losses, "nothing but the judgement differs"
    violated = [max(0.0, (bound - recall) / (abs(bound) or 1.0)) for recall in recalls]
    expected = max(range(4), key=lambda e: (-violated[e], values[e] if not violated[e] else 0, e)) + 1
    assert [max(0.0, record.violations[0]) for record in result.records] == pytest.approx(violated)
    assert (result.best_epoch, result.best_fitness) == (expected, values[expected - 1])
    best = torch.load(result.best, weights_only=False)["ema"].state_dict()
    assert not list(differences(best, weights[expected]))


def test_an_architecture_is_measured_once_and_no_random_number_is_drawn(trial: Any, tmp_path: Path) -> None:
    plain = train(trial(epochs=1), tmp_path / "plain", threads=1, final_eval=False)
    settings = Settings(subject_to=["latency_ms < 1e6", "params < 1e9"], fitness="mAP50-95 - 1e-9 * GFLOPs")
    runs = [
        train(
            trial(settings=settings, epochs=1), tmp_path / name, threads=1, final_eval=False, measured=tmp_path / "all"
        )
        for name in ("one", "two")
    ]
    assert [run.records[0].losses for run in runs] == [plain.records[0].losses] * 2
    first, second = (run.records[0].metrics for run in runs)
    assert (first["latency_ms"], first["GFLOPs"]) == (second["latency_ms"], second["GFLOPs"])
    assert first["latency_ms"] > 0
    assert first["GFLOPs"] > 0
    assert first["params"] == sum(p.numel() for p in YOLO(runs[0].last).model.parameters())
    (file,) = (tmp_path / "all").iterdir()
    assert json.loads(file.read_text())["architecture"]["imgsz"] == 64
    other = train(trial(settings=settings, epochs=1, imgsz=96), tmp_path / "larger", threads=1, final_eval=False,
                  measured=tmp_path / "all")  # fmt: skip
    assert other.records[0].metrics["GFLOPs"] > first["GFLOPs"]
    assert len(list((tmp_path / "all").iterdir())) == 2


def test_a_trial_ends_before_its_first_epoch_and_a_run_of_its_own_does_not(trial: Any, tmp_path: Path) -> None:
    settings = Settings(subject_to=["params < 10", "recall > 0.9", "latency_ms < 1e9"])
    with pytest.raises(RuledOut, match=r"params is .*, and subject_to asks for params < 10") as ruled_out:
        train(trial(settings=settings, epochs=1), tmp_path / "run", measured=tmp_path / "all")
    params, recall, latency = ruled_out.value.violations
    assert params > 0 > latency
    assert recall == 0
    assert (tmp_path / "run/records.jsonl").read_text() == ""
    alone = train(trial(settings=settings, epochs=1), tmp_path / "alone", final_eval=False)
    assert alone.records[0].violations[0] == params


def test_a_run_keeps_its_numbers_on_another_device(trial: Any, tmp_path: Path) -> None:
    """Two threads have measured the architecture as too slow by the time that it goes on there."""
    settings, shared = Settings(subject_to=["latency_ms < 1e6"]), tmp_path / "all"

    def stop(_: EpochRecord) -> None:
        raise StopTraining

    with pytest.raises(StopTraining):
        train(trial(settings=settings, epochs=2), tmp_path / "run", threads=1, on_epoch=stop, measured=shared)
    (file,) = shared.iterdir()
    slow = json.loads(file.read_text())
    slow["architecture"]["device"] = slow["architecture"]["device"].replace("1 threads", "2 threads")
    slow["measured"]["latency_ms"] = 2e6
    (shared / Architecture(**slow["architecture"]).file_name).write_text(json.dumps(slow))
    with pytest.raises(RuledOut):
        train(trial(settings=settings, epochs=2), tmp_path / "new", threads=2, measured=shared)
    went_on = train(trial(settings=settings, epochs=2), tmp_path / "run", threads=2, measured=shared, final_eval=False)
    assert len({record.metrics["latency_ms"] for record in went_on.records}) == 1
    assert len(went_on.records) == 2


def test_a_function_may_ask_what_an_architecture_costs(trial: Any, tmp_path: Path) -> None:
    (tmp_path / "goal.py").write_text("def score(metrics):\n    return -metrics['params']\n")
    settings = Settings(fitness=f"{tmp_path / 'goal.py'}:score")
    (record,) = train(trial(settings=settings, epochs=1), tmp_path / "run", final_eval=False).records
    assert record.fitness == -record.metrics["params"] < 0


def test_of_two_that_measure_at_a_time_the_first_is_taken(tmp_path: Path) -> None:
    for contents in (b"first", b"second"):
        _put_first(tmp_path / "file", contents)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]

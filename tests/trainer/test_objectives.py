"""Of several objectives the first is the fitness; the others are in every record and decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.settings import Settings
from raytrainer.trainer.fitness import NonFinite
from raytrainer.trainer.records import EpochRecord, read_records
from raytrainer.trainer.run import train

Scripted = Callable[[Sequence[float]], str]


def test_the_first_decides_and_the_others_are_recorded(scripted: Scripted, trial: Any, tmp_path: Path) -> None:
    values, folder = [1.0, 3.0, 2.0], tmp_path / "several"
    alone = train(trial(settings=Settings(fitness=scripted(values))), tmp_path / "alone", final_eval=False)
    settings = Settings(fitness=[scripted(values), "-params", "mAP50 - 2*recall"], on_nan="fail")
    result = train(trial(settings=settings), folder, final_eval=False)
    assert (result.best_epoch, result.best_fitness) == (alone.best_epoch, alone.best_fitness) == (2, 3.0)
    assert [each.losses for each in result.records] == [each.losses for each in alone.records]
    for record in result.records:
        metrics = record.metrics
        assert record.others == [-metrics["params"], metrics["mAP50"] - 2 * metrics["recall"]]
        assert metrics["params"] > 1000
    assert read_records(folder / "records.jsonl") == result.records
    assert alone.records[0].others == []
    assert Settings.from_yaml((folder / "weights/settings.yaml").read_text()) == settings


def test_a_record_from_before_there_were_several() -> None:
    assert EpochRecord.from_json('{"epoch": 1, "fitness": 0.5, "best_fitness": 0.5, "best_epoch": 1}').others == []


def test_one_that_has_no_value_fails_the_run_and_is_named(trial: Any, tmp_path: Path) -> None:
    settings = Settings(fitness=["mAP50", "-params/(recall - recall)"], on_nan="fail")
    with pytest.raises(NonFinite, match=r"the objective -params/\(recall - recall\) of epoch 1 is not finite"):
        train(trial(settings=settings), tmp_path / "run", final_eval=False)

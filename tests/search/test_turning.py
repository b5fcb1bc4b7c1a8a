"""What a population waits for before it goes on, and what not."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.space import Failures
from raytrainer.search import ledger
from raytrainer.search.population import generations
from raytrainer.search.searcher import StudySearcher
from raytrainer.search.study import Study
from search.test_population import Training, drive, essence, run, space


def suggested(searcher: StudySearcher) -> Any:
    """What Ray gets in the end: as Ray does, ask until the storage has taken everything."""
    while (given := searcher.suggest("next")) is None:
        time.sleep(0.01)
    return given


def test_nobody_waits_for_a_failure_that_was_held_back(tmp_path: Path) -> None:
    asked = space(trials=4).model_copy(update={"failures": Failures(same_error=3)})
    with Study.open(tmp_path, asked) as study:
        training = Training(study)
        for _ in range(3):
            drive(study, training, turns=2)
        assert study.ask()
        assert [view.state for view in study.snapshot()] == ["paused", "paused", "paused", "running"]
    with Study.open(tmp_path, asked) as study:
        searcher = StudySearcher(study)
        assert suggested(searcher)["number"] == 3
        study.finish(3, "failed", "before an epoch of this driver")
        assert study.snapshot()[3].state == "running"
        searcher.on_trial_complete("next")
        assert suggested(searcher)["number"] == 0
        assert [generation.epoch for generation in generations(study._ledger.attrs())] == [2]
        study.report(0, 3, 0.1)
        assert study.snapshot()[3].state == "failed"


def test_no_state_is_replaced_before_the_decision_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = essence(run(tmp_path / "whole", space()))
    free, handed, told, write = threading.Event(), list[tuple[int, int]](), list[str](), os.write

    def slow(file: int, data: bytes) -> int:
        if b"generation_" in data:
            free.wait()
        return write(file, data)

    monkeypatch.setattr(os, "write", slow)
    monkeypatch.setattr(ledger, "PATIENCE", 0.5)
    with Study.open(tmp_path / "slow", space()) as study:
        training, study.tell = Training(study), told.append

        def hand_over(source: int, target: int) -> None:
            handed.append((source, target))
            training.take_over(source, target)

        study.turning.hand_over = hand_over
        drive(study, training)
        try:
            assert [view.last_epoch for view in study.snapshot()] == [2] * 6
            assert study.behind
            assert not handed
        finally:
            free.set()
        while study.behind:
            drive(study, training)
        assert essence(study.snapshot()) == whole
        assert handed
    assert told == ["the population waits, nothing is lost: what was decided is not on the disk yet"]

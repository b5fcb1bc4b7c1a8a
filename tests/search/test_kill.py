"""A driver killed at any moment: the study that its successors end is the undisturbed one, value for value."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from raytrainer.search.study import Study
from search.studies import drive, essence, run, space

FORK = multiprocessing.get_context("fork")
KILLS = 12


def killed_after(folder: Path, asked: Any, growth: int, delay: float) -> bool:
    """Let a driver run in a process of its own and kill it once the journal has grown; whether it was still running."""
    journal = folder / "study.journal"

    def child() -> None:
        with Study.open(folder, asked) as study:
            drive(study)

    before = journal.stat().st_size if journal.exists() else 0
    process = FORK.Process(target=child)
    process.start()
    while process.is_alive() and (not journal.exists() or journal.stat().st_size < before + growth):
        time.sleep(0.0005)
    time.sleep(delay)
    assert process.pid
    running = process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    return running and process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "nsgaii"])
def test_nothing_is_lost_and_nothing_is_new(tmp_path: Path, sampler: str) -> None:
    args = {"population_size": 5} if sampler == "nsgaii" else {}
    asked = space(trials=60, sampler=sampler, sampler_args=args)
    undisturbed = essence(run(tmp_path / "whole", asked))
    size = (tmp_path / "whole" / "study.journal").stat().st_size
    draw, kills, seen = random.Random(sampler), 0, 0
    for _ in range(KILLS):
        kills += killed_after(tmp_path / "killed", asked, draw.randrange(size // KILLS), draw.random() / 200)
        with Study.open(tmp_path / "killed", asked) as study:
            views = study.snapshot()
            running = [view.number for view in views if view.state == "running"]
            assert len(views) >= seen
            assert running in ([], [len(views) - 1]), "only the trial that was running is"
            seen = len(views)
    with Study.open(tmp_path / "killed", asked) as study:
        drive(study)
        assert essence(study.snapshot()) == undisturbed
    assert kills >= KILLS // 3

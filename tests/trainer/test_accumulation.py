"""Gradients are accumulated over the same batches whether or not a run was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from raytrainer.trainer.accumulation import StepRhythm


@pytest.mark.parametrize("batches", [3, 4, 5])
@pytest.mark.parametrize("accumulate", [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize("done", [1, 2, 3])
def test_steps_fall_on_the_same_batches(batches: int, accumulate: int, done: int) -> None:
    """The loop of `BaseTrainer._do_train`, with and without an interruption."""

    def rhythm() -> Any:
        trainer = StepRhythm.__new__(StepRhythm)
        trainer.ema, trainer.train_loader, trainer._oom_retries = SimpleNamespace(updates=0), range(batches), 0
        trainer.accumulate = accumulate
        return trainer

    def run(trainer: Any, epochs: Sequence[int], each_epoch: Callable[[Any], None] = lambda _: None) -> list[int]:
        steps, last_opt_step = [], -1
        for trainer.epoch in epochs:
            each_epoch(trainer)
            trainer._begin_counting_batches()
            for i in range(batches):
                trainer._count_batch()
                ni = i + batches * trainer.epoch
                if ni - last_opt_step >= trainer.accumulate:
                    trainer.ema.updates += 1
                    last_opt_step = ni
                    steps.append(ni)
                trainer._note_step()
        return steps

    whole = run(rhythm(), range(6))
    first, second = rhythm(), rhythm()
    before = run(first, range(done))
    second.ema.updates = first.ema.updates
    second.resume_rhythm(first.last_step)
    assert before + run(second, range(done, 6)) == whole

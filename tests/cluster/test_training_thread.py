"""The handshake between Ray's loop and Ultralytics': one epoch at a time, and every way in which a training ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from raytrainer.cluster.training_thread import Failed, Finished, TrainingThread, reason_of
from raytrainer.trainer.records import EpochRecord


class Stop(Exception):
    pass


def record(epoch: int) -> EpochRecord:
    return EpochRecord(epoch=epoch, fitness=epoch / 10, best_fitness=epoch / 10, best_epoch=epoch)


def epochs(n: int, trained: list[int]) -> Callable[[Callable[[EpochRecord], None]], None]:
    def train(on_epoch: Callable[[EpochRecord], None]) -> None:
        for epoch in range(1, n + 1):
            trained.append(epoch)
            on_epoch(record(epoch))

    return train


def test_hands_over_every_epoch_and_then_the_end() -> None:
    trained: list[int] = []
    thread = TrainingThread(epochs(3, trained), Stop)
    events = [thread.next() for _ in range(4)]
    assert [e.epoch for e in events[:3] if isinstance(e, EpochRecord)] == [1, 2, 3]
    assert events[3] == Finished()
    assert thread.abandon(1)


def test_no_epoch_starts_before_it_is_asked_for() -> None:
    trained: list[int] = []
    thread = TrainingThread(epochs(5, trained), Stop)
    thread.next()
    assert thread.abandon(5)
    assert trained == [1]


def test_abandoning_runs_the_trainings_own_clean_up() -> None:
    cleaned = threading.Event()

    def train(on_epoch: Callable[[EpochRecord], None]) -> None:
        try:
            on_epoch(record(1))
        finally:
            cleaned.set()

    thread = TrainingThread(train, Stop)
    thread.next()
    assert thread.abandon(5)
    assert cleaned.is_set()


def test_a_training_that_never_started_can_be_abandoned() -> None:
    assert TrainingThread(epochs(1, []), Stop).abandon(1)


def test_a_training_that_ignores_the_stop_is_told() -> None:
    release = threading.Event()

    def deaf(on_epoch: Callable[[EpochRecord], None]) -> None:
        try:
            on_epoch(record(1))
        except Stop:
            release.wait(30)

    thread = TrainingThread(deaf, Stop)
    thread.next()
    assert not thread.abandon(0.1)
    release.set()
    assert thread.abandon(5)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("bad\n  batch"), "ValueError: bad batch"),
        (KeyError(), "KeyError"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory: CUDA out of memory."),
        (MemoryError(), "out of memory"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_an_error_in_the_training_is_a_result(error: BaseException, reason: str) -> None:
    def train(on_epoch: Callable[[EpochRecord], None]) -> None:
        on_epoch(record(1))
        raise error

    thread = TrainingThread(train, Stop)
    thread.next()
    event = thread.next()
    assert isinstance(event, Failed)
    assert event.reason.startswith(reason)
    assert "\n" not in event.reason


def test_a_reason_is_one_line_of_bounded_length() -> None:
    assert len(reason_of(RuntimeError("x " * 10_000))) < 400

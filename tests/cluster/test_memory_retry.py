"""A trial that runs out of memory begins again with less, and the study hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raytrainer.cluster.assignment import Assignment, Order
from raytrainer.cluster.memory_retry import MemoryRetry
from raytrainer.cluster.training_thread import Amended, Event, Failed, Finished
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Failures, Space
from raytrainer.trainer.records import EpochRecord

from .scripted import Scripted

SHORT = Failed("out of memory: CUDA", short_of="memory")


def epochs(first: int, last: int) -> list[Event]:
    return [EpochRecord(n, n / 10, n / 10, n) for n in range(first, last + 1)]


def told(runs: list[list[Event]], on_oom: str = "retry", batch: int = 8) -> tuple[list[Any], list[dict[str, Any]]]:
    """What comes out of a trial whose trainings end as scripted, and what each was amended with."""
    failures = Failures(on_oom=on_oom)  # type: ignore[arg-type]
    space = Space(model="m.yaml", data="d.yaml", train={"batch": batch}, failures=failures)
    assignment = Assignment(space, StudyFolder(Path()), 1, 1, 0, 1)
    scripts, orders = iter(runs), []

    def begin(order: Order) -> Scripted:
        orders.append(dict(order.amended))
        return Scripted(next(scripts))

    def events() -> Iterator[Any]:
        training = MemoryRetry(assignment, Order(0, {}, {}), begin)
        while not isinstance(event := training.next(), Failed | Finished):
            yield event.arguments if isinstance(event, Amended) else event.epoch
        yield event

    return list(events()), orders


@pytest.mark.parametrize(
    ("runs", "options", "events", "orders"),
    [
        ([[*epochs(1, 2), Finished()]], {}, [1, 2, Finished()], [{}]),
        (
            [[SHORT], [SHORT], [*epochs(1, 1), Finished()]], {},
            [{"batch": 4}, {"batch": 2}, 1, Finished()], [{}, {"batch": 4}, {"batch": 2}],
        ),
        ([[SHORT], [SHORT]], {"batch": 2}, [{"batch": 1}, SHORT], [{}, {"batch": 1}]),
        ([[SHORT]], {"on_oom": "fail"}, [SHORT], [{}]),
        ([[Failed("ValueError")]], {}, [Failed("ValueError")], [{}]),
        ([[*epochs(1, 2), SHORT], [*epochs(1, 3), Finished()]], {}, [1, 2, 1, 2, 3, Finished()], [{}, {}]),
        ([[*epochs(1, 2), SHORT], [*epochs(1, 2), SHORT]], {}, [1, 2, 1, 2, SHORT], [{}, {}]),
    ],
    ids=["enough", "halved twice", "cannot be halved", "not wanted", "another error", "short later", "short for good"],
)  # fmt: skip
def test_begins_again(
    runs: list[list[Event]], options: dict[str, Any], events: list[Any], orders: list[dict[str, Any]]
) -> None:
    assert told(runs, **options) == (events, orders)

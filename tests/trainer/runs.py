"""Trainings that are interrupted, and what two of them differ in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from raytrainer.config.assemble import TrialConfig
from raytrainer.trainer.records import EpochRecord
from raytrainer.trainer.run import StopTraining, TrainResult, train
from raytrainer.trainer.state_file import read_state

OF_THE_MOMENT = ("epoch_seconds", "peak_memory")


def stopper(*epochs: int) -> Callable[[EpochRecord], None]:
    """An `on_epoch` that abandons the run after each of these epochs, the first time that it comes to it."""
    left = set(epochs)

    def stop(record: EpochRecord) -> None:
        if record.epoch in left:
            left.remove(record.epoch)
            raise StopTraining

    return stop


def train_through(
    config: TrialConfig, folder: Path, stops: Sequence[int] = (), on: list[int] | None = None, **options: Any
) -> TrainResult:
    """Train to the end on one thread, interrupted after the epochs `stops`; the last state stays as `last_state.pt`.

    The epochs that were told are added to `on`.
    """
    stop = stopper(*stops)

    def on_epoch(record: EpochRecord) -> None:
        shutil.copy(folder / "weights" / "state.pt", folder / "last_state.pt")
        if on is not None:
            on.append(record.epoch)
        stop(record)

    for _ in stops:
        try:
            train(config, folder, threads=1, on_epoch=on_epoch, final_eval=False, **options)
        except StopTraining:
            continue
        raise AssertionError("the run was not interrupted")
    return train(config, folder, threads=1, on_epoch=on_epoch, final_eval=False, **options)


def last_state(folder: Path) -> dict[str, Any]:
    """All that would determine a next epoch, and the history, but for wall times and memory."""
    return comparable(torch.load(folder / "last_state.pt", weights_only=True))


def saved_state(folder: Path) -> dict[str, Any]:
    """The same of a run that has not ended."""
    state = read_state(folder / "weights")
    assert state is not None
    return comparable(state)


def comparable(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state without what differs from run to run."""
    rows = [line.split(",") for line in state["csv"].splitlines()]
    records = [json.loads(line) for line in state["records"]]
    return {
        **{key: value for key, value in state.items() if key not in ("seconds", "arguments")},
        "csv": [row[:1] + row[2:] for row in rows],
        "records": [{k: v for k, v in record.items() if k not in OF_THE_MOMENT} for record in records],
    }


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two nested values differ in a single bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.shape != other.shape or not torch.equal(one, other):
            yield place
    elif isinstance(one, Mapping):
        if one.keys() != other.keys():
            yield f"{place}: {one.keys() ^ other.keys()}"
        for key in one.keys() & other.keys():
            yield from differences(one[key], other[key], f"{place}/{key}")
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield f"{place}: {len(one)} and {len(other)} items"
        for index, (mine, its) in enumerate(zip(one, other, strict=False)):
            yield from differences(mine, its, f"{place}/{index}")
    elif one != other and not (one != one and other != other):  # NaN is equal to NaN here
        yield f"{place}: {one!r} and {other!r}"

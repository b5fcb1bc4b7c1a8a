"""Every validated epoch is reported exactly once, when its checkpoint is on the disk, and its record stays there."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrainer.config.settings import Settings
from raytrainer.trainer.records import EpochRecord, append_record, read_records, write_records
from raytrainer.trainer.run import train

RECORD = EpochRecord(3, -0.25, 0.5, 2, metrics={"mAP50": 0.1, "AP[ä]": math.inf}, lr={"head/weight": 1e-3})


def test_a_record_comes_back_equal() -> None:
    assert EpochRecord.from_json(RECORD.to_json()) == RECORD
    assert "\n" not in RECORD.to_json()


@pytest.mark.parametrize(
    ("contents", "epochs"),
    [
        (b"", []),
        (RECORD.to_json().encode() + b"\n", [3]),
        (RECORD.to_json().encode(), []),  # complete, but its end was not written: the epoch is trained again
        (RECORD.to_json().encode() + b"\n" + RECORD.to_json().encode()[:40], [3]),
        (RECORD.to_json().encode() + b"\n\n", [3]),
    ],
)
def test_a_torn_last_line_is_dropped(contents: bytes, epochs: list[int], tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_bytes(contents)
    assert [record.epoch for record in read_records(tmp_path / "records.jsonl")] == epochs


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_bytes(b'{"epoch": 1\n' + RECORD.to_json().encode() + b"\n")
    with pytest.raises(ValueError, match="delimiter"):
        read_records(tmp_path / "records.jsonl")


def test_records_are_added_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    assert read_records(file) == []
    write_records(file, [RECORD])
    append_record(file, RECORD)
    assert read_records(file) == [RECORD, RECORD]
    write_records(file, [])
    assert read_records(file) == []
    assert list(tmp_path.iterdir()) == [file]


def test_every_epoch_once_with_its_checkpoint_on_disk(trial: Any, tmp_path: Path) -> None:
    """The final evaluation too runs `on_fit_epoch_end`, as if it were one more epoch."""
    seen: list[tuple[int, int, int]] = []
    weights = tmp_path / "run" / "weights"

    def on_epoch(record: EpochRecord) -> None:
        last = torch.load(weights / "last.pt", weights_only=False)
        state = torch.load(weights / "state.pt", weights_only=True)
        seen.append((record.epoch, last["epoch"] + 1, state["epoch"]))
        assert read_records(tmp_path / "run/records.jsonl")[-1] == record

    result = train(trial(epochs=3), tmp_path / "run", threads=1, on_epoch=on_epoch, final_eval=True)
    assert seen == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert read_records(tmp_path / "run/records.jsonl") == result.records
    assert [record.epoch for record in result.records] == [1, 2, 3]


def test_what_a_listener_takes_is_no_time_of_the_epoch(
    trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, taken = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: clock() + taken[0])

    def on_epoch(_: EpochRecord) -> None:
        taken[0] += 1e6

    result = train(trial(epochs=2), tmp_path / "run", threads=1, on_epoch=on_epoch, final_eval=False)
    assert all(0 < record.epoch_seconds < 1e6 for record in result.records)


def test_a_record_says_what_happened(trial: Any, tmp_path: Path) -> None:
    settings = Settings(backbone_lr_ratio=0.1, clip_grad_norm=1e-3)
    config = trial(settings=settings, epochs=1, warmup_epochs=0)
    (record,) = train(config, tmp_path / "run", threads=1, final_eval=False).records
    assert set(record.losses) == {f"{kind}/{loss}_loss" for kind in ("train", "val") for loss in ("box", "cls", "dfl")}
    assert all(math.isfinite(loss) for loss in record.losses.values())
    assert set(record.lr) == {f"{part}/{kind}" for part in ("head", "backbone") for kind in ("weight", "bn", "bias")}
    assert record.lr["backbone/weight"] == pytest.approx(record.lr["head/weight"] / 10)
    assert record.grad_norm is not None
    assert record.grad_norm_max is not None
    assert 1e-3 < record.grad_norm <= record.grad_norm_max
    assert record.clipped_share == 1.0
    assert record.epoch_seconds > 0
    assert record.peak_memory > 2**20

"""Checkpoints every few epochs or minutes: what is trained again after one is the same, and is reported once."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrainer.config.settings import Settings
from raytrainer.trainer.checkpoint_times import CheckpointTimes
from raytrainer.trainer.records import EpochRecord, read_records, told_since, write_records
from raytrainer.trainer.run import StopTraining, train
from raytrainer.trainer.state_file import read_state

from .runs import OF_THE_MOMENT, differences, last_state, stopper, train_through

KILLED_WHEN_TOLD = """
import json, os, signal, sys
from pathlib import Path
from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings
from raytrainer.trainer.run import train

model, arguments, settings, folder, epoch = sys.argv[1:]

def tell(record):
    print(record.epoch, flush=True)
    if record.epoch == int(epoch):
        os.kill(os.getpid(), signal.SIGKILL)

config = TrialConfig(model, json.loads(arguments), Settings.from_yaml(settings), {})
train(config, Path(folder), threads=1, on_epoch=tell, final_eval=False)
"""


@pytest.mark.parametrize(
    ("every", "written"),
    [(1, [1, 2, 3, 4, 5, 6, 7]), (2, [1, 2, 4, 6]), (3, [1, 3, 6]), (9, [1]), ("2min", [1, 3, 5, 7]), ("60min", [1])],
)
def test_when_one_is_due(every: int | str, written: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of a minute and a bit."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    times, seen = CheckpointTimes(every), []
    for epoch in range(1, 8):
        now[0] += 62
        if times.due(epoch):
            times.note()
            seen.append(epoch)
    assert seen == written


def test_after_a_resume_the_first_epoch_is_no_longer_due() -> None:
    for every in (4, "10min"):
        times = CheckpointTimes(every)
        times.note()
        assert [epoch for epoch in range(6, 10) if times.due(epoch)] == ([8] if every == 4 else [])


def of_epoch(records: list[EpochRecord]) -> list[dict[str, Any]]:
    """Records without what differs from run to run."""
    return [{k: v for k, v in json.loads(r.to_json()).items() if k not in OF_THE_MOMENT} for r in records]


def test_a_killed_run_trains_what_it_lost_again_and_reports_it_once(trial: Any, tmp_path: Path) -> None:
    """Twice: after the report of an epoch that no checkpoint has, and then before the run has come so far again."""
    settings = Settings(checkpoint_every=3, freeze="backbone", unfreeze_epoch=4, fitness="F1 - 1")
    config = trial(settings=settings, epochs=7, nbs=8, close_mosaic=1)
    train_through(trial(settings=settings.model_copy(update={"checkpoint_every": 1}), **config.train), tmp_path / "all")
    folder = tmp_path / "killed"
    told: list[int] = []
    for epoch in (5, 6):
        words = [config.model, json.dumps(config.train), settings.to_yaml(), str(folder), str(epoch)]
        done = subprocess.run([sys.executable, "-c", KILLED_WHEN_TOLD, *words], capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
        told += [int(line) for line in done.stdout.splitlines() if line.isdecimal()]
        state = read_state(folder / "weights")
        assert state is not None
        assert state["epoch"] == (3 if epoch == 5 else 6)
        torch.load(folder / "weights" / "last.pt", weights_only=False)
    lost = read_records(folder / "records.jsonl")
    result = train_through(config, folder, on=told)
    assert told == [1, 2, 3, 4, 5, 6, 7]
    found = set(differences(last_state(tmp_path / "all"), last_state(folder)))
    assert found == {"/settings/checkpoint_every: 1 and 3"}
    kept = read_records(folder / "records.jsonl")
    assert of_epoch(kept) == of_epoch(read_records(tmp_path / "all" / "records.jsonl")) == of_epoch(result.records)
    assert of_epoch(kept[:6]) == of_epoch(lost)


def test_a_replay_has_what_was_reported_since_the_checkpoint(trial: Any, tmp_path: Path) -> None:
    """Whoever asks for a replay hears every epoch once from each process, the lost ones at once."""
    config = trial(settings=Settings(checkpoint_every=4), epochs=4)
    with pytest.raises(StopTraining):
        train(config, tmp_path / "run", threads=1, on_epoch=stopper(3))
    told: list[tuple[int, bool]] = []
    (weights,) = (tmp_path / "run").glob("weights")

    def on_epoch(record: EpochRecord) -> None:
        state = read_state(weights)
        assert state is not None
        told.append((record.epoch, state["epoch"] == 1))

    train(config, tmp_path / "run", threads=1, on_epoch=on_epoch, final_eval=False, replay=True)
    assert told == [(1, True), (2, True), (3, True), (4, False)]


def test_best_pt_is_never_ahead_of_the_checkpoint(trial: Any, scripted: Any, tmp_path: Path) -> None:
    """A run that goes on from a checkpoint may not come to the same best epoch again, on a GPU say."""
    config = trial(settings=Settings(checkpoint_every=3, fitness=scripted([1, 2, 0, 4, 3, 5, 1])), epochs=7)
    seen: dict[int, int] = {}

    def on_epoch(record: EpochRecord) -> None:
        best = torch.load(tmp_path / "run/weights/best.pt", weights_only=False)
        seen[record.epoch] = best["epoch"] + 1

    result = train(config, tmp_path / "run", threads=1, on_epoch=on_epoch, final_eval=False)
    assert seen == {1: 1, 2: 1, 3: 2, 4: 2, 5: 2, 6: 6, 7: 6}
    assert result.best_epoch == 6
    assert {path.name for path in (tmp_path / "run/weights").iterdir()} == {
        "best.pt", "last.pt", "settings.yaml", "state.pt",
    }  # fmt: skip


@pytest.mark.parametrize(("stop_at", "how"), [(2, "on_train_epoch_end"), (2, "on_fit_epoch_end")])
def test_the_last_epoch_has_a_checkpoint_however_the_run_ends(
    stop_at: int, how: str, quick_args: Any, yolo_tiny: Path
) -> None:
    from raytrainer.trainer.compose import compose

    trainer = compose(checkpoint_every=5)(overrides=quick_args(yolo_tiny, epochs=9))
    trainer.add_callback(how, lambda trainer: setattr(trainer, "stop", trainer.epoch == stop_at))
    trainer.train()
    assert torch.load(trainer.last, weights_only=False)["train_metrics"]["fitness"] == trainer.records[-1].fitness
    state = read_state(trainer.wdir)
    assert state is not None
    assert (state["epoch"], state["finished"]) == (stop_at + 1, True)
    assert not (trainer.wdir / ".best.pt.aside").exists()


def test_how_often_may_change_on_a_resume(trial: Any, tmp_path: Path) -> None:
    with pytest.raises(StopTraining):
        train(trial(settings=Settings(checkpoint_every=2)), tmp_path / "run", threads=1, on_epoch=stopper(2))
    result = train(trial(settings=Settings(checkpoint_every="9min")), tmp_path / "run", threads=1, final_eval=False)
    assert [record.epoch for record in result.records] == [1, 2, 3]


def test_records_of_another_run_are_no_lost_ones(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    records = [EpochRecord(epoch, epoch / 10, epoch / 10, epoch) for epoch in (1, 2, 3)]
    write_records(file, records)
    assert told_since(file, records[:2]) == records[2:]
    assert told_since(file, [EpochRecord(1, 0.5, 0.5, 1)]) == []
    with file.open("ab") as torn:
        torn.write(b'{"epoch": 4, "fitn')
    assert told_since(file, records[:2]) == records[2:]
    file.write_bytes(file.read_bytes()[5:])
    assert told_since(file, records[:2]) == []
    assert told_since(tmp_path / "none", []) == []


def test_an_epoch_that_comes_out_another_is_told(
    trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = trial(settings=Settings(checkpoint_every=5))
    with pytest.raises(StopTraining):
        train(config, tmp_path / "run", threads=1, on_epoch=stopper(2))
    file = tmp_path / "run" / "records.jsonl"
    first, second = read_records(file)
    write_records(file, [first, EpochRecord(2, 0.75, 0.75, 2)])
    monkeypatch.setattr(logging.getLogger("ultralytics"), "propagate", True)
    train(config, tmp_path / "run", threads=1, final_eval=False)
    assert "epoch 2, trained again, is another: its fitness was 0.75" in caplog.text
    assert of_epoch(read_records(file)[:2]) == of_epoch([first, second])

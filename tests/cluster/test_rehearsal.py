"""What is tried before the first trial, in the processes that the trials then have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from ray.tune.utils import flatten_dict

from raytrainer.api import Running, run_study
from raytrainer.cluster.assignment import Assignment
from raytrainer.cluster.rehearsal import SEAT, Rehearsal, Seat
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space
from raytrainer.trainer import first_batch

SPACE = """
model: {model}
data: {data}
train: {{epochs: 1, imgsz: 32, batch: 4, optimizer: AdamW, plots: false, amp: false, mosaic: 0}}
search: {{trials: 3, pruner: none, sampler: random}}
resources: {{cpus: 0.5, gpus: 0, max_concurrent: 2}}
space: {{lr0: {{low: 1e-4, high: 1e-2, log: true}}}}
storage: {folder}
name: cells
"""


def space(folder: Path, data: Path, model: Path) -> Space:
    file = folder / "cells.yaml"
    file.write_text(SPACE.format(folder=folder, data=data, model=model))
    return load_space(file)


PROJECT = Path(__file__).resolve().parents[2]


class TrialProcesses:
    """While entered, collects the processes of this one's cluster that hold trials."""

    def __init__(self, _: Running) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            PROCESSES.update(p.pid for p in psutil.Process().children(recursive=True) if is_trial(p))

    def __enter__(self) -> None:
        PROCESSES.clear()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


PROCESSES: set[int] = set()


def is_trial(process: psutil.Process) -> bool:
    try:
        return "ray::Trial" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_trials_run_in_the_processes_that_tried_the_batch(tmp_path: Path, bccd: Path, rtdetr_tiny: Path) -> None:
    """Also if there is room for more processes than for trials."""
    outcome = run_study(space(tmp_path, bccd, rtdetr_tiny), watch=TrialProcesses)
    assert [view.state for view in outcome.trials] == ["complete"] * 3
    assert len(PROCESSES) == 2, "a trial started a process of its own"
    assert outcome.folder.log.read_text().count("Starting training") == 1, "the batch that was tried, and no trial"


def test_the_driver_needs_no_torch(tmp_path: Path, bccd: Path, rtdetr_tiny: Path) -> None:
    """Which takes seconds to import, half a gigabyte, and a second to let go of."""
    space(tmp_path, bccd, rtdetr_tiny)
    code = "import sys, raytrainer; raytrainer.tune('cells.yaml', trials=1); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    assert done.returncode == 0
    assert (tmp_path / "cells" / "best" / "best.pt").is_file()


def test_a_mistake_that_only_a_batch_shows_leaves_no_study(tmp_path: Path, bccd: Path, rtdetr_tiny: Path) -> None:
    broken = tmp_path / rtdetr_tiny.name
    broken.write_text(re.sub(r"HGStem, \[[^\]]*\]", "HGStem, [many, 48]", rtdetr_tiny.read_text(), count=1))
    assert broken.read_text() != rtdetr_tiny.read_text()
    with pytest.raises(UserError, match=r"cells\.yaml:\d+: model"):
        run_study(space(tmp_path, bccd, broken))
    assert sorted(path.name for path in (tmp_path / "cells").iterdir()) == ["driver.log", "study.lock"]


LEFT_OUT = {"a.jpg": "torn"}


def test_seats_are_given_up_for_trials_one_by_one() -> None:
    told: list[Any] = []
    rehearsal = Rehearsal(2, told.append)
    assert [rehearsal.next_seat() for _ in range(3)] == [{SEAT: 0}, {SEAT: 1}, None]
    assert not rehearsal.hear({SEAT: 1, "rehearsed": None})
    assert rehearsal.holds_back
    assert rehearsal.hear({SEAT: 0, "rehearsed": [*LEFT_OUT.items()]})
    assert told == [LEFT_OUT]
    assert not rehearsal.holds_back
    assert not rehearsal.hear({SEAT: 1})
    rehearsal.claim()
    assert rehearsal.holds_back
    assert rehearsal.hear({SEAT: 1})
    rehearsal.claim()
    assert not rehearsal.holds_back


@pytest.mark.parametrize("left_out", [{}, LEFT_OUT])
def test_what_a_batch_says_reaches_the_driver_as_ray_hands_it_on(
    left_out: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray makes keys of a result's dicts, so that an empty one vanishes: the study would wait for it for ever."""
    monkeypatch.setattr(first_batch, "try_one_batch", lambda _: SimpleNamespace(left_out=left_out))
    asked = Space(model="m.yaml", data="d.yaml")
    seat, told = Seat(Assignment(asked, StudyFolder(tmp_path), 1, 1, 0, 1), 0), []
    rehearsal = Rehearsal(1, told.append)
    rehearsal.hear(flatten_dict(seat.step()))
    assert rehearsal.passed
    assert told == [left_out]


def test_seats_that_no_trial_needs_are_given_up_at_once() -> None:
    rehearsal = Rehearsal(3, None)
    assert rehearsal.hear({SEAT: 0, "rehearsed": [*LEFT_OUT.items()]})
    rehearsal.over = True
    assert rehearsal.hear({SEAT: 1})
    assert rehearsal.hear({SEAT: 2, "rehearsed": None})


def test_a_seat_makes_room_for_the_one_that_tries_the_batch_elsewhere() -> None:
    """A node that is left can hold fewer: those that hold it wait for the batch, and the batch for them."""
    rehearsal = Rehearsal(3, None)
    rehearsal.displaced(1)
    assert not rehearsal.hear({SEAT: 2, "rehearsed": None})
    rehearsal.displaced(0)
    assert not rehearsal.hear({SEAT: 0})
    assert rehearsal.hear({SEAT: 2})
    assert not rehearsal.hear({SEAT: 1})
    assert rehearsal.holds_back
    assert rehearsal.hear({SEAT: 0, "rehearsed": []})
    rehearsal.claim()
    assert rehearsal.holds_back
    assert rehearsal.hear({SEAT: 1})
    rehearsal.claim()
    assert not rehearsal.holds_back


def test_what_goes_wrong_first_is_told() -> None:
    rehearsal = Rehearsal(2, None)
    rehearsal.hear({SEAT: 1, "rehearsed": RuntimeError("no torch")})
    rehearsal.died()
    assert str(rehearsal.mistake) == "no torch"
    assert rehearsal.holds_back
    died = Rehearsal(1, None)
    died.died()
    assert isinstance(died.mistake, UserError)
    assert "train.batch" in str(died.mistake)
    assert not Rehearsal(0, None).holds_back

"""A real study of six short trials on real images, what it comes to undisturbed, and ways to strike it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from raytrainer.config.layout import StudyFolder
from raytrainer.config.storage import FOLDER, Storage
from raytrainer.search.reading import read_record
from raytrainer.trainer.records import read_records

PROJECT = Path(__file__).resolve().parents[2]
YOLO = PROJECT / "tests" / "models" / "yolo-tiny.yaml"
INJECT = Path(__file__).parent / "inject"
Strike = Mapping[str, Any]
TRIALS, EPOCHS = 6, 3
SECONDS = 300

SPACE = f"""
    model: {{model}}
    data: {{data}}
    fitness: mAP50-95 + 0.01*mean(recall)
    train: {{{{epochs: {EPOCHS}, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, plots: false, amp: false}}}}
    trainer: {{{{class_weights: inverse_frequency}}}}
    search: {{{{trials: {TRIALS}, seed: 7, pruner: none}}}}
    resources: {{{{cpus: 1, gpus: 0, max_concurrent: 1}}}}
    space:
      lr0: {{{{low: 1e-4, high: 1e-2, log: true, default: 0.002}}}}
      backbone_lr_ratio: {{{{low: 0.05, high: 1.0, log: true, default: 0.1}}}}
"""


@dataclass(frozen=True)
class Laboratory:
    """A folder with a space file, in which drivers run, are struck, and run again."""

    folder: Path
    space: Path
    storage: str = FOLDER
    """Where the study is kept: in its folder, or at a URL."""

    @property
    def study(self) -> StudyFolder:
        """The one study that is run here."""
        return StudyFolder(self.folder / "runs" / "cells")

    def start(
        self,
        *flags: str,
        strikes: Sequence[Strike] = (),
        slow: Sequence[Strike] = (),
        quiet: bool = True,
        output: Any = subprocess.PIPE,
        project: Path = PROJECT,
    ) -> subprocess.Popen[str]:
        """A driver, as a user starts it; its processes strike themselves (see `inject`)."""
        flags = ("--storage", self.storage, *(["--quiet"] if quiet else []), *flags)
        command = [sys.executable, str(project / "tune.py"), "--space", str(self.space), *flags]
        path = os.pathsep.join([str(project), *([str(INJECT)] if strikes or slow else [])])
        faults = json.dumps({"marks": str(self.folder), "strikes": [*strikes], "slow": [*slow]})
        return subprocess.Popen(
            ["/bin/sh", "-c", 'RAYTRAINER_FAULT_DRIVER=$$ exec "$@"', "sh", *command], cwd=self.folder, text=True,
            env={**os.environ, "PYTHONPATH": path, "RAYTRAINER_FAULTS": faults},
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def finish(self, *flags: str, **options: Any) -> str:
        """Run the study to its end, started with these, and return what the driver said."""
        with running(self.start(*flags, **options)) as driver:
            output, _ = driver.communicate(timeout=SECONDS)
        assert driver.returncode == 0, output
        return output

    @property
    def struck(self) -> int:
        """How often a fault has struck."""
        return len(list(self.folder.glob("struck-*")))

    def epochs_done(self) -> dict[int, int]:
        """Finished epochs by trial: those whose record is on the disk."""
        trials = sorted(self.study.trials.glob("*"))
        return {int(path.name): len(read_records(path / "records.jsonl")) for path in trials}

    def wait_for_epochs(self, count: int, driver: subprocess.Popen[str]) -> None:
        """Wait until so many epochs are finished, over all trials."""
        deadline = time.monotonic() + SECONDS
        while sum(self.epochs_done().values()) < count:
            assert driver.poll() is None, driver.stdout.read() if driver.stdout else ""
            assert time.monotonic() < deadline, "nothing was trained"
            time.sleep(0.02)

    def outcome(self) -> list[Any]:
        """All that the study holds and every trial reported, but for the clock."""
        record = read_record(self.study, Storage.parse(self.storage), self.study.path.name)
        assert record is not None
        views = record.trials
        records = [read_records(self.study.trial(view.number) / "records.jsonl") for view in views]
        told = [[(r.epoch, r.fitness, r.metrics, r.losses, r.lr, r.grad_norm) for r in trial] for trial in records]
        held = [(v.number, v.state, dict(v.params), dict(v.values), v.best_fitness, v.reason) for v in views]
        return list(zip(held, told, strict=True))


class Trained:
    """Which epochs each trial trains from now on, read from their logs."""

    LINE = re.compile(rf"\s(\d+)/{EPOCHS}\s+\S+G\s")

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._done = laboratory.epochs_done()
        self._sizes = {number: self._log(number).stat().st_size for number in self._done if self._log(number).is_file()}

    def again(self) -> list[tuple[int, int]]:
        """Trial and epoch of everything that was finished before and has been trained again since."""
        return [
            (number, epoch)
            for number, done in self._done.items()
            for epoch in sorted(self._epochs(number))
            if epoch <= done
        ]

    def _epochs(self, number: int) -> set[int]:
        if not self._log(number).is_file():
            return set()
        text = self._log(number).read_bytes()[self._sizes.get(number, 0) :].decode(errors="replace")
        return {int(epoch) for epoch in self.LINE.findall(text)}

    def _log(self, number: int) -> Path:
        return self._laboratory.study.trial_log(number)


class running:  # noqa: N801, it reads as a sentence
    """Ends a driver and all that it has started, when the block is left."""

    def __init__(self, driver: subprocess.Popen[str]) -> None:
        self._driver = driver

    def __enter__(self) -> subprocess.Popen[str]:
        return self._driver

    def __exit__(self, *_: object) -> None:
        kill_all(family(self._driver))
        self._driver.wait()


def family(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """A driver and every process below it."""
    try:
        process = psutil.Process(driver.pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_all(processes: list[psutil.Process]) -> None:
    """SIGKILL to each that is still there."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def find(processes: list[psutil.Process], title: str) -> list[psutil.Process]:
    """Those whose title contains a text, as `ray::Trial`."""
    found = []
    for process in processes:
        try:
            if title in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def assert_as_if_nothing_had_happened(laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """Every trial of the undisturbed study is there with the same parameters, and the whole study is equal to it."""
    outcome = laboratory.outcome()
    assert [held[2] for held, _ in outcome] == [held[2] for held, _ in undisturbed]
    assert outcome == undisturbed


def make_laboratory(folder: Path, model: Path, data: Path) -> Laboratory:
    """A space file in a folder."""
    space = folder / "cells.yaml"
    space.write_text(textwrap.dedent(SPACE).format(model=model, data=data))
    return Laboratory(folder, space)


@pytest.fixture
def laboratory(tmp_path: Path, bccd: Path) -> Laboratory:
    """A study that has not begun."""
    return make_laboratory(tmp_path, YOLO, bccd)


@pytest.fixture(scope="package")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, bccd: Path) -> list[Any]:
    """What the study comes to if nobody strikes it."""
    laboratory = make_laboratory(tmp_path_factory.mktemp("undisturbed"), YOLO, bccd)
    laboratory.finish()
    outcome = laboratory.outcome()
    assert [held[1] for held, _ in outcome] == ["complete"] * TRIALS
    assert all(len(told) == EPOCHS for _, told in outcome)
    return outcome

"""A real study of six short trials on real images, what it comes to undisturbed, and ways to strike it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster.conftest import nodes

from raytrainer.config.layout import StudyFolder
from raytrainer.config.storage import FOLDER, Storage
from raytrainer.search.reading import read_record
from raytrainer.trainer.records import EpochRecord, read_records

PROJECT = Path(__file__).resolve().parents[2]
YOLO = PROJECT / "tests" / "models" / "yolo-tiny.yaml"
INJECT = Path(__file__).parent / "inject"
Strike = Mapping[str, Any]
TRIALS, EPOCHS = 6, 3
SECONDS = 300
LINE = re.compile(rf"\s(\d+)/{EPOCHS}\s+\S+G\s")
"""How Ultralytics shows an epoch that is being trained."""

FITNESS = "mAP50-95 + 0.01*mean(recall)"
SPACE = f"""
    model: {{model}}
    data: {{data}}
    fitness: {FITNESS}
    train: {{{{epochs: {EPOCHS}, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, plots: false, amp: false}}}}
    trainer: {{{{class_weights: inverse_frequency}}}}
    search: {{{{trials: {TRIALS}, seed: 7, pruner: none}}}}
    resources: {{{{cpus: 1, gpus: 0, max_concurrent: 1}}}}
    space:
      lr0: {{{{low: 1e-4, high: 1e-2, log: true, default: 0.002}}}}
      backbone_lr_ratio: {{{{low: 0.05, high: 1.0, log: true, default: 0.1}}}}
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster of one node, which outlives the drivers that join it."""

    address: str
    faults: Path
    """What strikes the processes of trials that start there from now on."""
    process: subprocess.Popen[str]


@dataclass(frozen=True)
class Laboratory:
    """A folder with a space file, in which drivers run, are struck, and run again."""

    folder: Path
    space: Path
    storage: str = FOLDER
    """Where the study is kept: in its folder, or at a URL."""
    cluster: Cluster | None = None
    """What drivers join, which then start in half the time; None: each has one of its own."""

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
        joined = {"RAY_ADDRESS": self.cluster.address, "RAY_AUTH_MODE": "disabled"} if self.cluster else {}
        faults = self.cluster.faults if self.cluster else self.folder / "faults.json"
        faults.write_text(json.dumps({"marks": str(self.folder), "strikes": [*strikes], "slow": [*slow]}))
        path = os.pathsep.join([str(project), str(INJECT)])
        return subprocess.Popen(
            ["/bin/sh", "-c", 'echo $$ > driver; exec "$@"', "sh",
             sys.executable, str(project / "tune.py"), "--space", str(self.space), *flags],
            env={**os.environ, "PYTHONPATH": path, "RAYTRAINER_FAULTS": str(faults), **joined},
            cwd=self.folder, text=True, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def finish(self, *flags: str, **options: Any) -> str:
        """Run the study to its end, which trains nothing again that was finished, and return what the driver said."""
        trained = Trained(self)
        with running(self.start(*flags, **options)) as driver:
            output, _ = driver.communicate(timeout=SECONDS)
        assert driver.returncode == 0, output
        assert trained.again() == []
        return output

    @property
    def struck(self) -> int:
        """How often a fault has struck."""
        return len(list(self.folder.glob("struck-*")))

    def epochs_done(self) -> dict[int, int]:
        """Finished epochs by trial: those whose record is on the disk."""
        trials = sorted(self.study.trials.glob("*"))
        return {int(path.name): len(read_records(path / "records.jsonl")) for path in trials}

    def trained(self, number: int, since: int = 0) -> list[int]:
        """Which epochs a trial has trained, in that order, read from its log, of which so many bytes are left out."""
        log = self.study.trial_log(number)
        text = log.read_bytes()[since:].decode(errors="replace") if log.is_file() else ""
        return [int(epoch) for epoch in LINE.findall(text)]

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
        told = [[reported(record) for record in trial] for trial in records]
        held = [(v.number, v.state, dict(v.params), dict(v.values), v.objectives, v.reason) for v in views]
        return list(zip(held, told, strict=True))


def reported(record: EpochRecord) -> tuple[Any, ...]:
    """What was told of an epoch that is no measure of time."""
    metrics = {name: value for name, value in record.metrics.items() if name != "latency_ms"}
    return record.epoch, record.fitness, record.others, metrics, record.losses, record.lr, record.grad_norm


class Trained:
    """Which epochs each trial trains from now on."""

    def __init__(self, laboratory: Laboratory, done: dict[int, int] | None = None) -> None:
        self._laboratory = laboratory
        self._done = laboratory.epochs_done() if done is None else done
        logs = {number: laboratory.study.trial_log(number) for number in self._done}
        self._sizes = {number: log.stat().st_size if log.is_file() else 0 for number, log in logs.items()}

    def again(self) -> list[tuple[int, int]]:
        """Trial and epoch of everything that was finished before and has been trained again since."""
        return [
            (number, epoch)
            for number, done in self._done.items()
            for epoch in sorted(set(self._laboratory.trained(number, self._sizes[number])))
            if epoch <= done
        ]


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


def assert_none_ran_again(laboratory: Laboratory) -> None:
    """No trial went back behind an epoch that it had finished, as it had when it began the next one.

    Whether the last one before a kill was finished, `Trained` knows.
    """
    for number in laboratory.epochs_done():
        epochs = laboratory.trained(number)
        assert epochs == sorted(epochs), f"trial {number}"


def assert_as_if_nothing_had_happened(laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """No finished epoch ran twice, every trial is there with the same parameters, and all is as undisturbed."""
    assert_none_ran_again(laboratory)
    assert_the_same_study(laboratory, undisturbed)


def assert_the_same_study(laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """Every trial is there with the same parameters, and all that was reported is as undisturbed, each epoch once."""
    outcome = laboratory.outcome()
    assert [held[2] for held, _ in outcome] == [held[2] for held, _ in undisturbed]
    assert outcome == undisturbed


def make_laboratory(folder: Path, model: Path, data: Path, cluster: Cluster | None = None) -> Laboratory:
    """A space file in a folder."""
    space = folder / "cells.yaml"
    space.write_text(textwrap.dedent(SPACE).format(model=model, data=data))
    return Laboratory(folder, space, cluster=cluster)


@pytest.fixture
def laboratory(tmp_path: Path, bccd: Path) -> Laboratory:
    """A study that has not begun."""
    return make_laboratory(tmp_path, YOLO, bccd)


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests, of which no two run at once."""
    folder = tmp_path_factory.mktemp("cluster")
    faults = folder / "faults.json"
    faults.write_text("{}")
    path = os.pathsep.join([str(PROJECT), str(INJECT)])
    with nodes(folder) as (add, process):
        address = add(num_cpus=2, env_vars={"PYTHONPATH": path, "RAYTRAINER_FAULTS": str(faults)})
        yield Cluster(address, faults, process)


@pytest.fixture
def joined(tmp_path_factory: pytest.TempPathFactory, bccd: Path, cluster: Cluster) -> Laboratory:
    """A study that has not begun, whose drivers join a cluster."""
    return make_laboratory(tmp_path_factory.mktemp("joined"), YOLO, bccd, cluster)


@pytest.fixture(scope="package")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, bccd: Path, cluster: Cluster) -> list[Any]:
    """What the study comes to if nobody strikes it."""
    laboratory = make_laboratory(tmp_path_factory.mktemp("undisturbed"), YOLO, bccd, cluster)
    laboratory.finish()
    outcome = laboratory.outcome()
    assert [held[1] for held, _ in outcome] == ["complete"] * TRIALS
    assert all(len(told) == EPOCHS for _, told in outcome)
    assert [sorted({*laboratory.trained(number)}) for number in range(TRIALS)] == [[*range(1, EPOCHS + 1)]] * TRIALS
    return outcome

"""A study that was interrupted, however rudely, ends as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from end_to_end.conftest import PROJECT, environment, records_of, run_verb, write_space
from raytrainer.config.layout import StudyFolder
from raytrainer.search.reading import read_views

EPOCHS, TRIALS = 5, 2
FLAGS = ["--max-concurrent", "1", "--epochs", str(EPOCHS), "--trials", str(TRIALS), "--quiet"]


@pytest.fixture
def space(tmp_path: Path, pretrained: Path, bccd: Path) -> Path:
    return write_space(tmp_path, pretrained, bccd)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pretrained: Path, bccd: Path) -> list[list[Any]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run_verb(folder, "--space", write_space(folder, pretrained, bccd), "--name", "undisturbed", *FLAGS)
    return curves(StudyFolder(folder / "runs" / "undisturbed"))


@pytest.fixture
def driver(tmp_path: Path, space: Path) -> Iterator[subprocess.Popen[str]]:
    with started(tmp_path, space) as process:
        yield process


@contextmanager
def started(folder: Path, space: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """A study that is training its first trial, past its second epoch."""
    command = [sys.executable, str(PROJECT / "tune.py"), "--space", str(space), "--name", "disturbed", *FLAGS, *flags]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    records = StudyFolder(folder / "runs" / "disturbed").trial(0) / "records.jsonl"
    wait_for(lambda: records.is_file() and len(records.read_text().splitlines()) >= 2, process)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def test_a_killed_trial_goes_on(undisturbed: list[list[Any]], driver: subprocess.Popen[str], tmp_path: Path) -> None:
    next(process for process in psutil.Process(driver.pid).children(recursive=True) if is_trial(process)).kill()
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output
    assert_as_if_nothing_had_happened(StudyFolder(tmp_path / "runs" / "disturbed"), undisturbed)


def test_a_killed_driver_goes_on(
    undisturbed: list[list[Any]], driver: subprocess.Popen[str], tmp_path: Path, space: Path
) -> None:
    cluster = psutil.Process(driver.pid).children(recursive=True)
    trials = [process for process in cluster if is_trial(process)]
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(trials, timeout=60)
    assert trials
    assert not alive, "trials outlived their driver"
    for process in cluster:  # Ray's agents take their time to notice
        end(process)
    run_verb(tmp_path, "--space", space, "--name", "disturbed", *FLAGS)
    assert_as_if_nothing_had_happened(StudyFolder(tmp_path / "runs" / "disturbed"), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_is_asked_to_stop_says_how_to_go_on(
    number: signal.Signals, undisturbed: list[list[Any]], driver: subprocess.Popen[str], tmp_path: Path, space: Path,
) -> None:  # fmt: skip
    os.kill(driver.pid, number)
    output, _ = driver.communicate(timeout=120)
    folder = StudyFolder(tmp_path / "runs" / "disturbed")
    assert driver.returncode == 130, output
    assert "Go on:" in output
    assert "Traceback" not in output
    assert {view.state for view in read_views(folder.path)} <= {"running", "complete"}
    run_verb(tmp_path, "--space", space, "--name", "disturbed", *FLAGS)
    assert_as_if_nothing_had_happened(folder, undisturbed)


def test_a_trial_whose_rank_was_killed_goes_on(tmp_path: Path, rtdetr_tiny: Path, bccd: Path) -> None:
    """The other rank waits for the one that died; both are started again, from the last epoch."""
    space = write_space(tmp_path, rtdetr_tiny, bccd)
    with started(tmp_path, space, "--set", "resources.ranks=2") as driver:
        ranks = [p for p in psutil.Process(driver.pid).children(recursive=True) if is_trial(p, "ray::RankActor")]
        assert len(ranks) == 2
        ranks[1].kill()
        output, _ = driver.communicate(timeout=400)
    folder = StudyFolder(tmp_path / "runs" / "disturbed")
    assert driver.returncode == 0, output
    assert [view.state for view in read_views(folder.path)] == ["complete"] * TRIALS
    for number in range(TRIALS):
        assert [record.epoch for record in records_of(folder, number)] == list(range(1, EPOCHS + 1))
        assert (folder.trial(number) / "log-rank1.txt").is_file()


def test_a_second_driver_is_refused_while_the_first_lives(
    driver: subprocess.Popen[str], tmp_path: Path, space: Path
) -> None:
    refused = run_verb(tmp_path, "--space", space, "--name", "disturbed", *FLAGS, check=False)
    assert refused.returncode == 2
    assert str(driver.pid) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert driver.poll() is None


def assert_as_if_nothing_had_happened(folder: StudyFolder, undisturbed: list[list[Any]]) -> None:
    views = read_views(folder.path)
    assert [view.state for view in views] == ["complete"] * TRIALS
    for number in range(TRIALS):
        assert [record.epoch for record in records_of(folder, number)] == list(range(1, EPOCHS + 1))
    assert curves(folder) == undisturbed


def curves(folder: StudyFolder) -> list[list[Any]]:
    """What every epoch of every trial gave: fitness is 0 for so short a training, the losses are not."""
    records = [records_of(folder, number) for number in range(TRIALS)]
    told = [[view.values[epoch] for epoch in sorted(view.values)] for view in read_views(folder.path)]
    assert told == [[record.fitness for record in trial] for trial in records]
    return [[(r.fitness, r.metrics, r.losses, r.lr, r.grad_norm) for r in trial] for trial in records]


def is_trial(process: psutil.Process, title: str = "ray::Trial") -> bool:
    try:
        return title in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def end(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not happened():
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline, "nothing was trained"
        time.sleep(0.05)

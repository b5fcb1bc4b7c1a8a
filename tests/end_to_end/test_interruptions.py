"""A study that was interrupted, however rudely, ends as if it had not been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from raytrainer.config.layout import StudyFolder
from raytrainer.search.reading import read_views
from end_to_end.conftest import PROJECT, environment

Cli = Callable[..., subprocess.CompletedProcess[str]]
EPOCHS, TRIALS = 5, 2
FLAGS = ["--max-concurrent", "1", "--epochs", str(EPOCHS), "--trials", str(TRIALS), "--quiet"]


@pytest.fixture
def space(pretrained: Path, space_file: Callable[[str | Path], Path]) -> Path:
    return space_file(pretrained)


@pytest.fixture
def undisturbed(tmp_path: Path, space: Path, run_cli: Cli) -> list[list[float]]:
    run_cli("--space", space, "--name", "undisturbed", *FLAGS)
    return curves(StudyFolder(tmp_path / "runs" / "undisturbed"))


@pytest.fixture
def driver(tmp_path: Path, space: Path) -> Iterator[subprocess.Popen[str]]:
    """A study that is training its first trial, past the first epoch."""
    command = [sys.executable, str(PROJECT / "tune.py"), "--space", str(space), "--name", "disturbed", *FLAGS]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    records = StudyFolder(tmp_path / "runs" / "disturbed").trial(0) / "records.jsonl"
    wait_for(lambda: records.is_file() and len(records.read_text().splitlines()) >= 2, process)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def test_a_killed_trial_goes_on(undisturbed: list[list[float]], driver: subprocess.Popen[str], tmp_path: Path) -> None:
    killed = next(
        p for p in psutil.Process(driver.pid).children(recursive=True) if "ray::Trial" in " ".join(p.cmdline())
    )
    killed.kill()
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output
    assert_as_if_nothing_had_happened(StudyFolder(tmp_path / "runs" / "disturbed"), undisturbed)


def test_a_killed_driver_goes_on(
    undisturbed: list[list[float]], driver: subprocess.Popen[str], tmp_path: Path, space: Path, run_cli: Cli
) -> None:
    cluster = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(cluster, timeout=60)
    assert not alive, "the cluster outlived its driver"
    run_cli("--space", space, "--name", "disturbed", *FLAGS)
    assert_as_if_nothing_had_happened(StudyFolder(tmp_path / "runs" / "disturbed"), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_is_asked_to_stop_says_how_to_go_on(
    number: signal.Signals, undisturbed: list[list[float]], driver: subprocess.Popen[str], tmp_path: Path, space: Path,
    run_cli: Cli,
) -> None:  # fmt: skip
    os.kill(driver.pid, number)
    output, _ = driver.communicate(timeout=120)
    folder = StudyFolder(tmp_path / "runs" / "disturbed")
    assert driver.returncode == 130, output
    assert "Go on:" in output
    assert "Traceback" not in output
    assert {view.state for view in read_views(folder.path)} <= {"running", "complete"}
    run_cli("--space", space, "--name", "disturbed", *FLAGS)
    assert_as_if_nothing_had_happened(folder, undisturbed)


def test_a_second_driver_is_refused_while_the_first_lives(
    driver: subprocess.Popen[str], space: Path, run_cli: Cli
) -> None:
    refused = run_cli("--space", space, "--name", "disturbed", *FLAGS, check=False)
    assert refused.returncode == 2
    assert str(driver.pid) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert driver.poll() is None


def assert_as_if_nothing_had_happened(folder: StudyFolder, undisturbed: list[list[float]]) -> None:
    views = read_views(folder.path)
    assert [view.state for view in views] == ["complete"] * TRIALS
    for number in range(TRIALS):
        lines = (folder.trial(number) / "records.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, EPOCHS + 1))
    assert curves(folder) == undisturbed


def curves(folder: StudyFolder) -> list[list[float]]:
    return [[view.values[epoch] for epoch in sorted(view.values)] for view in read_views(folder.path)]


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not happened():
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline, "nothing was trained"
        time.sleep(0.05)

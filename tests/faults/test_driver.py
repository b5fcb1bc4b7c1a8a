"""A driver that dies, at whatever moment, loses nothing."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from search import servers

from faults.conftest import (
    FITNESS,
    PROJECT,
    SECONDS,
    TRIALS,
    YOLO,
    Cluster,
    Laboratory,
    Trained,
    assert_as_if_nothing_had_happened,
    family,
    find,
    kill_all,
    make_laboratory,
    running,
)
from raytrainer.search.reading import read_views

JOURNAL, CHECKPOINT = r"study\.journal$", r"\.state\.pt\."
MOMENTS = {
    "during a study write": {"call": "os.write", "path": JOURNAL, "nth": 9, "action": "tear"},
    "during a checkpoint": {"call": "os.replace", "path": CHECKPOINT, "nth": 2, "action": "kill driver"},
    "during a report": {"call": "os.write", "path": JOURNAL, "nth": 4, "action": "tear"},
}


def test_killed_at_chosen_moments(joined: Laboratory, undisturbed: list[Any]) -> None:
    for strikes, moment in enumerate(MOMENTS, start=1):
        trained = Trained(joined)
        with running(joined.start(strikes=[*MOMENTS.values()][:strikes])) as driver:
            processes = family(driver)
            driver.wait(SECONDS)
            kill_all(processes)
        assert (driver.returncode, joined.struck) == (-signal.SIGKILL, strikes), moment
        assert trained.again() == [], moment
    joined.finish()
    assert_as_if_nothing_had_happened(joined, undisturbed)


@pytest.mark.parametrize(("seed", "kills"), [(1, 3), (3, 2)])
def test_killed_at_random_moments(seed: int, kills: int, laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """Wherever it is: starting, trying a batch, between trials, in the middle of one."""
    chance = random.Random(seed)
    for _ in range(kills):
        kill_after(laboratory, chance.uniform(2, 9))
    laboratory.finish()
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def test_killed_at_random_moments_with_the_study_in_a_database(joined: Laboratory, undisturbed: list[Any]) -> None:
    chance = random.Random(2)
    with servers.postgresql() as server:
        laboratory = replace(joined, storage=server.url)
        for _ in range(5):
            kill_after(laboratory, chance.uniform(2, 7))
        laboratory.finish()
        assert_as_if_nothing_had_happened(laboratory, undisturbed)
    written = [path for path in laboratory.folder.rglob("*") if path.is_file()]
    assert (laboratory.study.best / "best.yaml") in written
    assert not [path for path in written if servers.QUOTED.encode() in path.read_bytes()], "there is a password"


SIZES = {"imgsz: 64, ": "", "space:\n": "space:\n  imgsz: {choices: [64, 96]}\n"}


def edit(file: Path, changes: dict[str, str]) -> None:
    text = file.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text)


def test_killed_with_two_objectives(tmp_path_factory: pytest.TempPathFactory, bccd: Path, cluster: Cluster) -> None:
    """The front is what it would have been, and so are its files."""
    chance, ends = random.Random(5), []
    for name, kills in (("undisturbed", 0), ("killed", 2)):
        folder = tmp_path_factory.mktemp(name)
        laboratory = make_laboratory(folder, YOLO, bccd, cluster)
        edit(laboratory.space, {FITNESS: "[mAP50-95 + 10*GFLOPs, -GFLOPs]", f"trials: {TRIALS}": "trials: 4", **SIZES})
        laboratory = replace(laboratory, storage=f"sqlite:///{folder / 'studies.db'}")
        for _ in range(kills):
            kill_after(laboratory, chance.uniform(3, 6))
        laboratory.finish()
        ends.append((laboratory.outcome(), sorted(path.name for path in laboratory.study.front.iterdir())))
    (undisturbed, files), (_, files_again) = ends
    assert_as_if_nothing_had_happened(laboratory, undisturbed)
    assert files_again == files
    assert len(files) == 4, "weights and configuration of two trials"


def test_ten_resumes_in_a_row_and_the_last_by_a_newer_version(
    joined: Laboratory, undisturbed: list[Any], newer: Path
) -> None:
    chance = random.Random(2)
    for _ in range(10):
        kill_after(joined, chance.uniform(1, 5))
    joined.finish(project=newer)
    assert "99.0" in (joined.study.best / "best.yaml").read_text()
    assert_as_if_nothing_had_happened(joined, undisturbed)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A checkout of a later version."""
    folder = tmp_path / "newer"
    for name in ("raytrainer", "search_spaces"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "tune.py", folder)
    (folder / "raytrainer" / "version.py").write_text('__version__ = "99.0"\n')
    return folder


def kill_after(laboratory: Laboratory, seconds: float) -> None:
    trained = Trained(laboratory)
    with running(laboratory.start()) as driver:
        time.sleep(seconds)
    assert driver.returncode in (-signal.SIGKILL, 0)
    assert trained.again() == []


def test_asked_to_stop(joined: Laboratory, undisturbed: list[Any]) -> None:
    """By each signal; the last start finds nothing left to do."""
    for number in (signal.SIGTERM, signal.SIGINT):
        driver, output = asked_to_stop(joined, number)
        assert driver.returncode == 130, output
        assert "Go on:" in output
    joined.finish()
    before = files(joined.study.trials)
    joined.finish()
    assert files(joined.study.trials) == before
    assert_as_if_nothing_had_happened(joined, undisturbed)


def test_asked_to_stop_twice(laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """A second Ctrl-C ends it at once."""
    asked_to_stop(laboratory, signal.SIGINT, signal.SIGINT)
    laboratory.finish()
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def asked_to_stop(laboratory: Laboratory, *signals: int) -> tuple[subprocess.Popen[str], str]:
    """A driver that gets these signals once an epoch is done, and what it said."""
    said = laboratory.folder / "said"  # no pipe, which Ray's agents hold for another minute when it is ended at once
    trained = Trained(laboratory)
    with running(laboratory.start(output=said.open("w"))) as driver:
        laboratory.wait_for_epochs(sum(laboratory.epochs_done().values()) + 1, driver)
        for number in signals:
            driver.send_signal(number)
            time.sleep(0.5)
        driver.wait(SECONDS)
    output = said.read_text()
    assert "Traceback" not in output
    assert {view.state for view in read_views(laboratory.study.path)} <= {"running", "complete"}
    assert trained.again() == []
    return driver, output


def test_a_second_driver_is_refused_and_no_trial_outlives_the_first(
    laboratory: Laboratory, undisturbed: list[Any]
) -> None:
    with running(laboratory.start()) as first:
        laboratory.wait_for_epochs(1, first)
        with running(laboratory.start()) as second:
            output, _ = second.communicate(timeout=SECONDS)
        assert second.returncode == 2, output
        assert str(first.pid) in output
        assert "Traceback" not in output
        assert first.poll() is None
        processes = family(first)
        trials = find(processes, "ray::Trial")
        first.kill()
        _, alive = psutil.wait_procs(trials, timeout=60)
        kill_all(processes)
    assert trials
    assert not alive
    laboratory.finish()
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

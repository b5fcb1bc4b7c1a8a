"""A driver that dies, at whatever moment, loses nothing."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from faults.conftest import (
    SECONDS,
    TRIALS,
    Laboratory,
    Trained,
    assert_as_if_nothing_had_happened,
    family,
    find,
    kill_all,
    running,
)
from raytrainer.search.reading import read_views

MOMENTS = {
    "during a study write": {"call": "os.write", "path": r"study\.journal$", "nth": 9},
    "during a checkpoint": {"call": "os.replace", "path": r"\.state\.pt\.", "nth": 2, "action": "kill driver"},
    "during a report": {"call": "os.write", "path": r"study\.journal$", "nth": 4},
}


def test_killed_at_chosen_moments(laboratory: Laboratory, undisturbed: list[Any]) -> None:
    for strikes, (moment, fault) in enumerate(MOMENTS.items(), start=1):
        trained = Trained(laboratory)
        with running(laboratory.start(fault={**fault, "times": strikes})) as driver:
            processes = family(driver)
            driver.wait(SECONDS)
            kill_all(processes)
        assert (driver.returncode, laboratory.struck) == (-signal.SIGKILL, strikes), moment
        assert trained.again() == [], moment
    trained = Trained(laboratory)
    laboratory.finish()
    assert trained.again() == []
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(seed: int, laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """Five times each, wherever it is: starting, trying a batch, between trials, in the middle of one."""
    chance = random.Random(seed)
    for _ in range(5):
        kill_after(laboratory, chance.uniform(2, 10))
        if len(laboratory.epochs_done()) == TRIALS:
            break
    laboratory.finish()
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def kill_after(laboratory: Laboratory, seconds: float) -> None:
    trained = Trained(laboratory)
    with running(laboratory.start()) as driver:
        time.sleep(seconds)
    assert driver.returncode in (-signal.SIGKILL, 0)
    assert trained.again() == []


def test_asked_to_stop(laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """Once by each signal, and twice by Ctrl-C, which ends it at once; the last start finds nothing left to do."""
    for done, signals in enumerate(([signal.SIGTERM], [signal.SIGINT], [signal.SIGINT, signal.SIGINT]), start=1):
        trained = Trained(laboratory)
        with running(laboratory.start()) as driver:
            laboratory.wait_for_epochs(2 * done, driver)
            for number in signals:
                driver.send_signal(number)
                time.sleep(0.5)
            output, _ = driver.communicate(timeout=SECONDS)
        if len(signals) == 1:
            assert driver.returncode == 130, output
            assert "Go on:" in output
        assert "Traceback" not in output
        assert {view.state for view in read_views(laboratory.study.path)} <= {"running", "complete"}
        assert trained.again() == []
    laboratory.finish()
    before = files(laboratory.study.trials)
    laboratory.finish()
    assert files(laboratory.study.trials) == before
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def test_a_second_driver_is_refused_and_no_trial_outlives_the_first(laboratory: Laboratory) -> None:
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


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

"""A trial whose process dies, hangs or fails: it goes on where it was, or says why it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faults.conftest import (
    EPOCHS,
    SECONDS,
    Laboratory,
    Trained,
    assert_as_if_nothing_had_happened,
    family,
    find,
    make_laboratory,
    running,
)
from raytrainer.search.reading import read_views

CHECKPOINT = {"call": "os.replace", "path": r"\.state\.pt\."}


def test_dies_again_and_again(laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """Always in the middle of writing a checkpoint: a kill, an exit, a crash, and a hang that its own alarm ends."""
    fault = {**CHECKPOINT, "nth": 2, "times": 4, "actions": ["kill", "exit", "segfault", "hang"]}
    with running(laboratory.start("--set", "failures.stall_minutes=0.15", fault=fault)) as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert laboratory.struck == 4
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def test_dies_for_good(laboratory: Laboratory) -> None:
    """Four deaths without an epoch in between; the search goes on without it."""
    fault = {**CHECKPOINT, "nth": 1, "times": 4, "action": "exit"}
    flags = ["--trials", "2", "--epochs", "1"]
    with running(laboratory.start(*flags, fault=fault)) as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    first, second = read_views(laboratory.study.path)
    assert (first.state, second.state) == ("failed", "complete")
    assert first.reason
    assert "died" in first.reason


def test_raises(laboratory: Laboratory) -> None:
    fault = {**CHECKPOINT, "nth": 2, "action": "raise"}
    with running(laboratory.start("--trials", "2", "--epochs", "2", fault=fault)) as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    first, second = read_views(laboratory.study.path)
    assert (first.state, first.reason, second.state) == ("failed", "RuntimeError: injected", "complete")


def test_a_set_up_that_is_broken_stops_the_study_and_costs_no_trial(
    laboratory: Laboratory, undisturbed: list[Any]
) -> None:
    fault = {**CHECKPOINT, "nth": 1, "times": 3, "action": "raise"}
    with running(laboratory.start(fault=fault)) as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 1, output
    assert "every trial fails with RuntimeError: injected" in output
    assert laboratory.struck == 3
    laboratory.finish()
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def test_one_rank_of_two_is_killed(tmp_path: Path, rtdetr_tiny: Path, bccd: Path) -> None:
    """The other rank waits for the one that died; both are started again, from the last epoch."""
    laboratory = make_laboratory(tmp_path, rtdetr_tiny, bccd)
    with running(laboratory.start("--set", "resources.ranks=2", "--trials", "2")) as driver:
        laboratory.wait_for_epochs(2, driver)
        ranks = find(family(driver), "ray::RankActor")
        assert len(ranks) == 2
        trained = Trained(laboratory)
        ranks[1].kill()
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert trained.again() == []
    assert [held[1] for held, _ in laboratory.outcome()] == ["complete"] * 2
    assert all(len(told) == EPOCHS for _, told in laboratory.outcome())

"""A trial whose process dies, hangs or fails: it goes on where it was, or says why it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faults.conftest import (
    SECONDS,
    TRIALS,
    YOLO,
    Laboratory,
    Trained,
    assert_as_if_nothing_had_happened,
    family,
    find,
    make_laboratory,
    running,
)
from raytrainer.search.reading import read_views


def at_checkpoint(nth: int, action: str, trial: str = "") -> dict[str, Any]:
    """A strike in the middle of writing the nth checkpoint that a process writes."""
    return {"call": "os.replace", "path": rf"{trial}/weights/\.state\.pt\.", "nth": nth, "action": action}


def test_dies_again_and_again(laboratory: Laboratory, undisturbed: list[Any]) -> None:
    """Always in the middle of writing a checkpoint: a kill, an exit, a crash, and a hang that its own alarm ends."""
    strikes = [at_checkpoint(2, action) for action in ("kill", "exit", "segfault", "hang")]
    with running(laboratory.start("--set", "failures.stall_minutes=0.15", strikes=strikes)) as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert laboratory.struck == 4
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


def test_what_a_trial_cannot_get_over_is_its_own_and_told(laboratory: Laboratory) -> None:
    """Four deaths without an epoch in between, an error, and a batch that is too large; the search goes on."""
    strikes = [at_checkpoint(1, "exit", "0000")] * 4
    strikes += [at_checkpoint(2, "raise", "0001"), at_checkpoint(1, "out of memory", "0002")]
    with running(laboratory.start(strikes=strikes)) as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    dies, raises, shrinks, *others = read_views(laboratory.study.path)
    assert [dies.state, raises.state, shrinks.state] == ["failed", "failed", "complete"]
    assert [view.state for view in others] == ["complete"] * (TRIALS - 3)
    assert "died" in (dies.reason or "")
    assert (raises.reason, raises.last_epoch) == ("RuntimeError: injected", 1)
    assert shrinks.notes["amended"]["batch"] == 2


def test_a_set_up_that_is_broken_stops_the_study_and_costs_no_trial(
    laboratory: Laboratory, undisturbed: list[Any]
) -> None:
    with running(laboratory.start(strikes=[at_checkpoint(1, "raise")] * 3)) as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 1, output
    assert "every trial fails with RuntimeError: injected" in output
    assert laboratory.struck == 3
    laboratory.finish()
    assert_as_if_nothing_had_happened(laboratory, undisturbed)


RANKS = ("--set", "resources.ranks=2")


@pytest.fixture
def undisturbed_on_ranks(tmp_path_factory: pytest.TempPathFactory, bccd: Path) -> list[Any]:
    """What the study comes to if two processes train each trial."""
    laboratory = make_laboratory(tmp_path_factory.mktemp("ranks"), YOLO, bccd)
    laboratory.finish(*RANKS)
    return laboratory.outcome()


def test_one_rank_of_two_is_killed(laboratory: Laboratory, undisturbed_on_ranks: list[Any]) -> None:
    """The other rank waits for the one that died; both are started again, from the last epoch."""
    with running(laboratory.start(*RANKS)) as driver:
        laboratory.wait_for_epochs(2, driver)
        ranks = find(family(driver), "ray::RankActor")
        assert len(ranks) == 2
        trained = Trained(laboratory)
        ranks[1].kill()
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert trained.again() == []
    assert_as_if_nothing_had_happened(laboratory, undisturbed_on_ranks)

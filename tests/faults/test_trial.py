"""A trial whose process dies, hangs or fails: it goes on where it was, or says why it cannot."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from faults.conftest import (
    SECONDS,
    TRIALS,
    YOLO,
    Cluster,
    Laboratory,
    Trained,
    assert_as_if_nothing_had_happened,
    assert_none_ran_again,
    family,
    find,
    make_laboratory,
    running,
)
from raytrainer.search.reading import read_views


def at_checkpoint(nth: int, action: str, trial: str = "") -> dict[str, Any]:
    """A strike in the middle of writing the nth checkpoint that a process writes."""
    return {"call": "os.replace", "path": rf"{trial}/weights/\.state\.pt\.", "nth": nth, "action": action}


@pytest.mark.parametrize("actions", [("kill", "exit", "segfault"), ("hang", "out of memory")])
def test_dies_again_and_again(actions: tuple[str, ...], joined: Laboratory, undisturbed: list[Any]) -> None:
    """In the middle of writing a checkpoint: a kill, an exit, a crash; a hang that its own alarm ends, short memory."""
    strikes = [at_checkpoint(2, action) for action in actions]
    joined.finish("--set", "failures.stall_minutes=0.3", strikes=strikes)
    assert joined.struck == len(strikes)
    assert_as_if_nothing_had_happened(joined, undisturbed)


def test_what_a_trial_cannot_get_over_is_its_own_and_told(joined: Laboratory, undisturbed: list[Any]) -> None:
    """Four deaths without an epoch in between, and an error; the search goes on, and the next start has none to try."""
    strikes = [at_checkpoint(1, "exit", "0000")] * 4 + [at_checkpoint(2, "raise", "0001")]
    joined.finish(strikes=strikes)
    assert joined.struck == len(strikes)
    dies, raises, *others = read_views(joined.study.path)
    assert [dies.state, raises.state, *(view.state for view in others)] == ["failed"] * 2 + ["complete"] * (TRIALS - 2)
    assert "died" in (dies.reason or "")
    assert (raises.reason, raises.last_epoch) == ("RuntimeError: injected", 1)
    assert_none_ran_again(joined)
    outcome = joined.outcome()
    assert [held[2] for held, _ in outcome[:2]] == [held[2] for held, _ in undisturbed[:2]]
    joined.finish()
    assert joined.outcome() == outcome


@pytest.mark.parametrize("on_oom", ["retry", "fail"])
def test_runs_out_of_memory(on_oom: str, joined: Laboratory, undisturbed: list[Any]) -> None:
    """Before its first epoch, twice, and with a quarter of the batch it goes on; or after it, and that is its end.

    The driver is killed afterwards, and the next one knows.
    """
    short = {
        "retry": [at_checkpoint(1, "out of memory", "0001")] * 2,
        "fail": [at_checkpoint(2, "out of memory", "0001")],
    }
    killed = {"retry": at_checkpoint(2, "kill driver", "0001"), "fail": at_checkpoint(1, "kill driver", "0002")}
    flags, strikes = ("--set", f"failures.on_oom={on_oom}"), [*short[on_oom], killed[on_oom]]
    with running(joined.start(*flags, strikes=strikes)) as driver:
        driver.wait(SECONDS)
    assert (driver.returncode, joined.struck) == (-signal.SIGKILL, len(strikes))
    joined.finish(*flags)
    first, short_of_memory, *others = read_views(joined.study.path)
    assert [view.state for view in (first, *others)] == ["complete"] * (TRIALS - 1)
    batch = yaml.safe_load((joined.study.trial(1) / "args.yaml").read_text())["batch"]
    if on_oom == "retry":
        assert (short_of_memory.state, short_of_memory.notes["amended"], batch) == ("complete", {"batch": 1}, 1)
    else:
        assert (short_of_memory.state, short_of_memory.last_epoch, batch) == ("failed", 1, 4)
        assert (short_of_memory.reason or "").startswith("out of memory: ")
    assert_none_ran_again(joined)
    assert joined.outcome()[0] == undisturbed[0]
    assert short_of_memory.params == undisturbed[1][0][2]


def test_a_set_up_that_is_broken_stops_the_study_and_costs_no_trial(joined: Laboratory, undisturbed: list[Any]) -> None:
    with running(joined.start(strikes=[at_checkpoint(1, "raise")] * 3)) as driver:
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 1, output
    assert "every trial fails with RuntimeError: injected" in output
    assert joined.struck == 3
    joined.finish()
    assert_as_if_nothing_had_happened(joined, undisturbed)


RANKS = ("--set", "resources.ranks=2")


@pytest.fixture
def undisturbed_on_ranks(tmp_path_factory: pytest.TempPathFactory, bccd: Path, cluster: Cluster) -> list[Any]:
    """What the study comes to if two processes train each trial."""
    laboratory = make_laboratory(tmp_path_factory.mktemp("ranks"), YOLO, bccd, cluster)
    laboratory.finish(*RANKS)
    return laboratory.outcome()


def test_one_rank_of_two_is_killed(joined: Laboratory, cluster: Cluster, undisturbed_on_ranks: list[Any]) -> None:
    """The other rank waits for the one that died; both are started again, from the last epoch."""
    with running(joined.start(*RANKS)) as driver:
        joined.wait_for_epochs(2, driver)
        ranks = find(family(cluster.process), "ray::RankActor")
        assert len(ranks) == 2
        trained = Trained(joined)
        ranks[1].kill()
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output
    assert trained.again() == []
    assert_as_if_nothing_had_happened(joined, undisturbed_on_ranks)

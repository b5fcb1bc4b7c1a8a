"""A broken set-up stops the study before it has burnt its trials, and costs none of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Failures
from raytrainer.config.storage import Storage
from raytrainer.search.first_failures import BROKEN, FirstFailures
from raytrainer.search.reading import read_record
from raytrainer.search.study import Study
from search.studies import PLAIN, drive, essence, run, space

WRONG = "RuntimeError: cannot open /data/{}/a.jpg at 0x7f{}"
WATCHED = space(PLAIN, trials=5, pruner="none").model_copy(update={"failures": Failures(same_error=3)})


def fail(study: Study, *reasons: str) -> None:
    for reason in reasons:
        trial = study.ask()
        assert trial is not None
        study.finish(trial.number, "failed", reason)


def kept(folder: Path) -> object:
    """What is told of the study's end to whoever looks at it."""
    record = read_record(StudyFolder(folder), Storage(), "")
    return record and record.attrs.get(BROKEN)


def states(study: Study) -> str:
    return "".join(view.state[0] for view in study.snapshot())


@pytest.mark.parametrize(
    ("limit", "reasons", "taken", "broken"),
    [
        (3, ["a 1", "a 2", "a 3"], [True, True, True], "a 1"),
        (3, ["a", "a"], [True, True], None),
        (1, ["a"], [True], "a"),
        (3, ["a", "b", "a", "a"], [True, False, True, True], "a"),
        (None, ["a", "a", "a"], [False, False, False], None),
    ],
)
def test_only_failures_of_one_kind_are_held(
    limit: int | None, reasons: list[str], taken: list[bool], broken: str | None
) -> None:
    first = FirstFailures(limit)
    assert [first.hold(number, reason) for number, reason in enumerate(reasons)] == taken
    assert first.broken == broken
    assert sum(taken) == len(first.release())
    assert first.broken is None
    assert not first.hold(9, reasons[0])


def test_a_broken_set_up_stops_the_study_and_the_next_start_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    with Study.open(tmp_path, WATCHED) as study:
        fail(study, *(WRONG.format(number, number) for number in range(3)))
        assert study.broken == WRONG.format(0, 0)
        assert study.closing
        assert study.ask() is None
        assert states(study) == "rrr"
    assert kept(tmp_path) == WRONG.format(0, 0)
    with Study.open(tmp_path, WATCHED) as study:
        assert [trial.number for trial in study.adopt()] == [0, 1, 2]
        drive(study)
        mended = study.snapshot()
    assert kept(tmp_path) is None
    assert [view.state for view in mended] == ["complete"] * 5
    assert essence(mended)[0] == essence(run(tmp_path / "undisturbed", WATCHED))[0]


@pytest.mark.parametrize("shows", ["an epoch", "another error"])
def test_failures_are_told_once_trials_are_seen_to_train(tmp_path: Path, shows: str) -> None:
    with Study.open(tmp_path, WATCHED) as study:
        fail(study, "a", "a")
        assert states(study) == "rr"
        if shows == "an epoch":
            study.ask()
            study.report(2, 1, 0.5)
        else:
            fail(study, "b")
        assert [view.reason for view in study.snapshot()[:2]] == ["a", "a"]
        assert states(study)[:2] == "ff"
        fail(study, "c")
        assert states(study)[-1] == "f"
        assert study._ledger.trials()[0].state == TrialState.FAIL


@pytest.mark.parametrize(
    "told",
    [
        lambda study: [study.report(0, epoch, math.nan) for epoch in (2, 3, 4)],
        lambda study: [study.report(0, epoch, 0.5) for epoch in (2, 3, 4)],
        lambda study: study.finish(0, "complete"),
        lambda study: study.finish(0, "pruned"),
        lambda study: study.finish(0, "failed", "another error"),
    ],
    ids=["no number again", "numbers", "complete", "pruned", "another error"],
)
def test_a_trial_whose_failure_is_held_trains_no_more(tmp_path: Path, told: Callable[[Study], object]) -> None:
    with Study.open(tmp_path, WATCHED) as study:
        study.ask()
        study.report(0, 1, math.nan)
        assert not study.trains(0)
        told(study)
        assert not study.should_stop(0)
        assert (states(study), study.epochs) == ("r", 0), "it is for another trial to show whose fault it was"
        study.ask()
        study.report(1, 1, 0.5)
        assert study.trains(1)
        first, _ = study.snapshot()
        assert (first.state, first.values, first.reason) == ("failed", {}, "the fitness was nan at epoch 1")

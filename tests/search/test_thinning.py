"""What TPE is shown: trials at one rung, failures as the worst, of a long study the best and the latest trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from raytrainer.search.epoch_notes import CONSTRAINTS, epoch_key, epoch_note, told
from raytrainer.search.samplers import Suggester, suggester_of
from raytrainer.search.thinning import MOST, at_one_rung, ended_as_complete, thinned_for_several
from search.studies import space

STATES = {"c": TrialState.COMPLETE, "p": TrialState.PRUNED, "r": TrialState.RUNNING, "f": TrialState.FAIL}


def trials(*described: str) -> list[FrozenTrial]:
    """'c123' completed with 0.1, 0.2, 0.3 at epochs 1 to 3; p is pruned, r running, f failed; '!42' violates two
    constraints by 0.4 and 0.2."""
    found = []
    for number, (text, _, violated) in enumerate(each.partition("!") for each in described):
        values = {epoch: int(digit) / 10 for epoch, digit in enumerate(text[1:], start=1)}
        trial = create_trial(
            state=STATES[text[0]],
            value=max(values.values()) if text[0] in "cp" and values else None,
            params={"x": number / 10_000},
            distributions={"x": FloatDistribution(0, 1)},
            intermediate_values=values,
            system_attrs={CONSTRAINTS: [int(digit) / 10 for digit in violated]} if violated else {},
        )
        trial.number = number
        found.append(trial)
    return found


def shown(*described: str, rungs: tuple[int, ...] = (1, 3), enough: int = 3) -> list[str]:
    return list(map(short, at_one_rung(trials(*described), rungs, enough)))


def short(trial: FrozenTrial) -> str:
    """Number, state and value of what is shown, in tenths."""
    letters = {state: letter for letter, state in STATES.items()}
    return f"{trial.number}{letters[trial.state]}{'' if trial.value is None else round(10 * trial.value)}"


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ([], []),
        # enough that completed: nothing else counts but what runs
        (["c12345", "c22345", "c12346", "p999", "r9"], ["0c5", "1c5", "2c6", "4r"]),
        # else the highest rung with enough, paused or running ones too, the best value up to there
        (["c12945", "p321", "r2225", "p9"], ["0c9", "1c3", "2c2"]),
        (["c12945", "p321", "p9", "r2", "r"], ["0c1", "1c3", "2c9", "3c2", "4r"]),
        # nowhere enough: the lowest rung, from which TPE does not draw yet
        (["c12345", "r"], ["0c1", "1r"]),
        # failed trials are the worst of all, no more of them than of others, the latest
        (["c12345", "c2", "f9", "c3", "f"], ["0c5", "1c2", "2p", "3c3", "4p"]),
        (["f1", "f2", "c1", "f3", "r"], ["2c1", "3p", "4r"]),
        (["f", "f", "f", "f"], []),
        # what was ruled out before its first epoch is there, and what ended early of itself
        (["c12945", "p321", "r2225", "p!42"], ["0c9", "1c3", "2c2", "3p"]),
        (["c12", "c12945", "p321", "p99"], ["0c2", "1c9", "2c3"]),
    ],
)
def test_shown(described: list[str], expected: list[str]) -> None:
    assert shown(*described) == expected


def test_without_rungs_only_complete_trials_count() -> None:
    assert shown("c123", "p99", "r9", rungs=()) == ["0c3", "2r"]


def test_at_a_rung_a_trial_violates_what_it_did_there() -> None:
    complete, pruned, running = trials("c15!0", "p51!1", "r95")
    for trial, violated in ((complete, [0.3, 0.0]), (pruned, [0.1, 0.4]), (running, [0.0, 0.2])):
        notes = {epoch_key(epoch): epoch_note([by]) for epoch, by in enumerate(violated, start=1)}
        trial.system_attrs = {**trial.system_attrs, **notes}
    study = [complete, pruned, running]
    assert [list(told(trial)) for trial in at_one_rung(study, (1,), 3)] == [[0.3], [0.1], [0.0]]
    assert [list(told(trial)) for trial in study] == [[0.0], [0.1], []]


def test_a_first_report_past_the_rung_is_what_it_had_there() -> None:
    (late,) = trials("p0059")
    del late.intermediate_values[1], late.intermediate_values[2]
    assert list(map(short, at_one_rung([late], (1,), 1))) == ["0c5"]


def test_a_study_of_whole_trials_is_compared_at_their_ends_once_there_are_as_many_as_parameters() -> None:
    study = trials(*["c12"] * 11, *["p9"] * 3)
    for dimensions, expected in ((7, 11), (9, 11), (10, 14)):
        suggester = Suggester("tpe", rungs=(1,), dimensions=dimensions)
        assert len(suggester.shown(study) or []) == expected
        assert vars(suggester.sampler(0))["_n_startup_trials"] == max(10, dimensions + 2), "no model before"
    told = Suggester("tpe", {"n_startup_trials": 12}, rungs=(1,))
    assert len(told.shown(study) or []) == 14
    assert vars(told.sampler(0))["_n_startup_trials"] == 12


@pytest.mark.parametrize(
    ("pruner", "rungs"),
    [("asha", (2, 4)), ("hyperband", (2, 4)), ("asha-promote", (2, 4)), ("median", (2,)), ("none", ())],
)
def test_rungs_are_the_stopping_rules(pruner: Any, rungs: tuple[int, ...]) -> None:
    """The median rule has no factor of its own, and without a rule all trials come to their ends."""
    assert suggester_of(space(pruner=pruner, sampler="tpe")).rungs == rungs


def test_to_samplers_that_learn_from_complete_trials_alone_those_that_ended_are_complete() -> None:
    """Failures as the worst of them; stopped ones with what they had, but of several objectives."""
    study = trials("c13", "f9", "p9", "c2", "r")
    for objectives, expected in ((1, ["0c3", "1c2", "2c9", "3c2", "4r"]), (2, ["0c3", "1c2", "2p9", "3c2", "4r"])):
        for name in ("gp", "nsgaii", "nsgaiii"):
            assert list(map(short, Suggester(name, objectives=objectives).shown(study) or [])) == expected
    assert [trial.state for trial in study] == [STATES[letter] for letter in "cfpcr"]
    assert list(map(short, Suggester("random").shown(trials("f", "f")) or [])) == ["0f", "1f"]
    assert Suggester("auto").shown(study) is None, "it knows failures"


def test_what_failed_before_it_had_parameters_takes_none_from_the_others() -> None:
    """Samplers search what all the trials that they are shown as ended have in common."""
    study = trials("c1", "f9", "c2")
    study[1].params = {}
    for name, expected in (("gp", ["0c1", "1f", "2c2"]), ("tpe", ["0c1", "2c2"])):
        assert list(map(short, Suggester(name).shown(study) or [])) == expected


def test_a_failed_trials_curve_does_not_count() -> None:
    (_, failed) = at_one_rung(trials("c1", "f999"), (), 1)
    assert failed.intermediate_values == {}


def test_the_studys_own_trials_stay_as_they_are() -> None:
    before = trials("c123", "p321", "f2", "r999")
    at_one_rung(before, (1, 3), 1)
    at_one_rung(before, (1, 3), 3)
    assert [t.state for t in before] == [STATES[letter] for letter in "cpfr"]
    assert before[3].values is None
    assert before[2].intermediate_values == {1: 0.2}


@pytest.mark.parametrize(
    ("described", "good"),
    [
        (lambda number: f"c{9 if number % 50 == 0 else number % 5}", range(0, 1000, 50)),
        (lambda number: f"p{9 if number % 50 == 0 else number % 5}", range(0, 1000, 50)),
        (lambda number: "p1" if number % 50 == 0 else "f", range(0, 1000, 50)),
        (lambda number: "p0!0" if number % 50 == 0 else "p9!1", range(0, 1000, 50)),
        (lambda number: "c0!1" if number % 50 == 0 else "c9!2", range(0, 1000, 50)),
    ],
)
def test_a_long_study_is_its_best_and_its_latest(described: Callable[[int], str], good: range) -> None:
    study = trials(*map(described, range(1000)), "r")
    seen = [t.number for t in at_one_rung(study, (1,), 3)]
    failed = sum(t.state == TrialState.FAIL for t in study)
    assert len(seen) == 1 + (MOST if not failed else 2 * (1000 - failed))
    assert set(good) <= set(seen)
    assert failed or set(range(750, 1001)) <= set(seen)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("described", "order"),
    [
        (["p9", "c1", "f9", "p22", "p12", "c3"], [0, 5, 3, 1, 4, 2]),
        (["f9!00", "p8!00", "c1!00", "c9!03", "p9!30", "p!02", "f", "c9!41"], [1, 2, 5, 3, 4, 7, 0, 6]),
        (["f9!0", "p9!0", "c1!0", "p2"], [1, 3, 2, 0]),
    ],
)
def test_optuna_ranks_as_expected(described: list[str], order: list[int]) -> None:
    """The order that thinning and the place of failures rest on is Optuna's own."""
    study = optuna.create_study(direction="maximize")
    shown = at_one_rung(trials(*described), (1,), 9)
    for good in range(1, len(order) + 1):
        below, _ = _split_trials(study, shown, good)
        assert {t.number for t in below} == set(order[:good])


def several(*described: str) -> list[FrozenTrial]:
    """The same with a second objective, 0.9 less the first at each epoch."""
    found = trials(*described)
    for trial in found:
        curve = trial.intermediate_values
        trial.system_attrs |= {epoch_key(epoch): epoch_note((), [0.9 - value]) for epoch, value in curve.items()}
        trial.values = None if trial.values is None else [trial.values[0], 0.9 - trial.values[0]]
    return found


@pytest.mark.parametrize(
    ("described", "numbers"),
    [
        # pruned ones behind all others: by how far they came, then by their place, failed ones last
        (["c9", "p1", "r1", "p12", "p99", "f9", "p5"], [0, 2, 4, 3, 1, 6, 5]),
        (["p1!2", "p1", "p9!1"], [1, 2, 0]),
        ([], []),
    ],
)
def test_of_several_objectives_the_best_pruned_ones_come_first(described: list[str], numbers: list[int]) -> None:
    before = several(*described)
    found = thinned_for_several(before)
    assert [trial.number for trial in found] == numbers
    assert not any(trial.intermediate_values for trial in found if trial.state == TrialState.PRUNED)
    assert [trial.intermediate_values for trial in before] == [t.intermediate_values for t in trials(*described)]


def test_a_failed_trial_is_as_bad_as_any_in_each_objective() -> None:
    assert [trial.values for trial in ended_as_complete(several("c1", "f", "c7"), stopped=False)] == [
        [0.1, 0.8], [0.1, pytest.approx(0.2)], [0.7, pytest.approx(0.2)]
    ]  # fmt: skip

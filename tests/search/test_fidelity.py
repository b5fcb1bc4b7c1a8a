"""What TPE is shown: trials compared at the highest rung that has enough of them."""

from __future__ import annotations

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from raytrainer.search.fidelity import MOST, at_one_fidelity

STATES = {"c": TrialState.COMPLETE, "p": TrialState.PRUNED, "r": TrialState.RUNNING, "f": TrialState.FAIL}


def trials(*described: str) -> list[FrozenTrial]:
    """'c123' completed with 0.1, 0.2, 0.3 at epochs 1 to 3; p is pruned, r running, f failed."""
    found = []
    for number, text in enumerate(described):
        values = {epoch: int(digit) / 10 for epoch, digit in enumerate(text[1:], start=1)}
        trial = create_trial(
            state=STATES[text[0]],
            value=max(values.values()) if text[0] in "cp" and values else None,
            params={"x": number / 10_000},
            distributions={"x": FloatDistribution(0, 1)},
            intermediate_values=values,
        )
        trial.number = number
        found.append(trial)
    return found


def shown(*described: str, rungs: tuple[int, ...] = (1, 3), enough: int = 3) -> list[str]:
    """Number, state and value of what is shown, in tenths."""
    letters = {state: letter for letter, state in STATES.items()}
    seen = at_one_fidelity(trials(*described), rungs, enough)
    return [f"{t.number}{letters[t.state]}{'' if t.value is None else round(10 * t.value)}" for t in seen]


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ([], []),
        # enough that completed: nothing else counts but what runs
        (["c12345", "c22345", "c12346", "p999", "r9"], ["0c5", "1c5", "2c6", "4r"]),
        # else the highest rung with enough, best value up to there
        (["c12945", "p321", "r2225", "p9"], ["0c9", "1c3", "2c2"]),
        (["c12945", "p321", "p9", "r2", "r"], ["0c1", "1c3", "2c9", "3c2", "4r"]),
        # nowhere enough: the lowest rung, from which TPE does not draw yet
        (["c12345", "r"], ["0c1", "1r"]),
        # failed trials are the worst of all, as many as were chosen and the latest of them
        (["c12345", "c2", "f9", "c3", "f"], ["0c5", "1c2", "2p", "3c3", "4p"]),
        (["f1", "f2", "c1", "f3"], ["2c1", "3p"]),
        (["f", "f", "f", "f"], []),
    ],
)
def test_shown(described: list[str], expected: list[str]) -> None:
    assert shown(*described) == expected


def test_without_rungs_only_complete_trials_count() -> None:
    assert shown("c123", "p99", "r9", rungs=()) == ["0c3", "2r"]


def test_the_studys_own_trials_stay_as_they_are() -> None:
    before = trials("c123", "p321", "f2", "r999")
    at_one_fidelity(before, (1, 3), 1)
    assert [t.state for t in before] == [STATES[letter] for letter in "cpfr"]
    assert before[2].intermediate_values == {1: 0.2}


def test_a_large_study_is_thinned_to_its_best_and_latest() -> None:
    many = trials(*(f"c{9 if number % 100 == 0 else number % 5}" for number in range(1000)), *(["f"] * 1000))
    seen = at_one_fidelity(many, (), 3)
    assert len(seen) == MOST
    good = [t.number for t in seen if t.value == 0.9]
    assert good == list(range(0, 1000, 100))
    assert {t.number for t in seen} >= set(range(900, 1000))
    assert [t.number for t in seen] == sorted(t.number for t in seen)

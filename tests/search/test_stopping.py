"""Stopping rules: a table of curves and the decisions that are expected of each rule."""

from __future__ import annotations

from collections import Counter

import pytest

from raytrainer.search.stopping import Asha, Hyperband, Median, Never, decider_of
from raytrainer.search.views import TrialView
from search.studies import space


def views(*curves: str, complete: int = 0) -> list[TrialView]:
    """Trials 0, 1, ... whose epochs 1, 2, ... gave these values in tenths: '135' is 0.1, 0.3, 0.5; '-' is no report.

    The first `complete` of them have completed.
    """
    found = []
    for number, curve in enumerate(curves):
        values = {epoch: int(digit) / 10 for epoch, digit in enumerate(curve, start=1) if digit != "-"}
        found.append(TrialView(number, "complete" if number < complete else "running", {}, values))
    return found


ASHA = Asha(rungs=(2, 6), reduction_factor=3)
HALVING = Asha(rungs=(2, 4), reduction_factor=2)
MEDIAN = Median(min_epochs=2, startup=3)


@pytest.mark.parametrize(
    ("rule", "curves", "number", "stops"),
    [
        # ASHA: below the first rung, on it, alone on it
        (ASHA, ["99", "1"], 1, False),
        (ASHA, ["99", "11"], 1, True),
        (ASHA, ["1", "11"], 1, False),
        (ASHA, ["99", "99"], 1, False),  # ties share the better rank
        # the baseline is never stopped, and counts
        (ASHA, ["11", "99", "99", "99"], 0, False),
        # best so far counts, not the last value
        (ASHA, ["55", "91", "33"], 1, False),
        (ASHA, ["55", "91", "33"], 2, True),
        # a third goes on: one of three to five, two of six
        (ASHA, ["99", "88", "77", "66", "55"], 1, True),
        (ASHA, ["99", "88", "77", "66", "55", "44"], 1, False),
        (ASHA, ["99", "88", "77", "66", "55", "44"], 2, True),
        # who came first and passed an empty rung is judged again between rungs, by its best up to the rung
        (ASHA, ["1", "111", "99"], 1, True),
        (ASHA, ["1", "119", "22"], 1, True),
        (ASHA, ["1", "211", "19"], 1, True),
        (ASHA, ["1", "991", "88"], 1, False),
        # beyond the next rung only that one counts
        (ASHA, ["999999", "112222", "33"], 1, True),
        (ASHA, ["1", "112222", "33", "44"], 1, False),
        # epochs that were not validated: the best before the rung is compared
        (ASHA, ["99", "-1-1"], 1, True),
        (ASHA, ["99", "--9"], 1, False),
        (ASHA, ["--9", "11"], 1, False),
        # a factor of two
        (HALVING, ["99", "88", "77", "66"], 1, False),
        (HALVING, ["99", "88", "77", "66"], 2, True),
        (HALVING, ["9999", "8888", "7777", "66"], 1, True),
        # all equal
        (ASHA, ["55", "55", "55", "55"], 3, False),
        (ASHA, ["00", "00", "00"], 2, False),
        # median: not before min_epochs, nor while too few have completed, nor the baseline
        (MEDIAN, ["55", "66", "77", "1"], 3, False),
        (MEDIAN, ["55", "66", "77", "11"], 3, True),
        (MEDIAN, ["55", "66", "77", "66"], 3, False),
        (MEDIAN, ["11", "66", "77", "77"], 0, False),
        (MEDIAN, ["55", "66", "77", "81"], 3, False),
        (Median(min_epochs=2, startup=4), ["55", "66", "77", "11"], 3, False),
        (Median(min_epochs=1, startup=1), ["55", "--", "--", "4"], 3, True),
        (Never(), ["99", "99", "99", "00"], 3, False),
    ],
)
def test_decision(rule: Asha | Median | Never, curves: list[str], number: int, stops: bool) -> None:
    shown = views(*curves, complete=3 if isinstance(rule, Median) else 0)
    assert rule.decide(number, shown[number].last_epoch, shown) is stops


def test_no_rung_stops_nobody() -> None:
    assert not Asha((), 3).decide(1, 5, views("99999", "00000"))


def test_a_decision_does_not_depend_on_who_came_first() -> None:
    curves = ["55", "11", "88", "33", "77", "22", "99"]
    ends = []
    for order in (curves, curves[::-1], sorted(curves)):
        shown = views("00", *order)
        ends.append({curve for number, curve in enumerate(order, start=1) if not ASHA.decide(number, 2, shown)})
    assert ends[0] == ends[1] == ends[2] == {"99", "88"}


def test_hyperband_compares_within_brackets() -> None:
    rule = Hyperband((2, 4), 2)
    brackets = [rule.bracket(number) for number in range(18)]
    same = [number for number in range(1, 18) if brackets[number] == 0][:3]
    shown = views(*("99" if number == same[0] else "33" if number in same else "55" for number in range(18)))
    assert rule.decide(same[1], 2, shown)
    assert not rule.decide(same[0], 2, shown)
    last = brackets.index(2)
    assert not rule.decide(last, 2, shown), "the last bracket has no rung"
    later = brackets.index(1, 1)
    assert not rule.decide(later, 2, shown), "a later bracket has its first rung later"


@pytest.mark.parametrize(
    ("rungs", "factor", "sizes"),
    [
        ((), 3, {0: 1}),
        ((3,), 3, {0: 3, 1: 2}),
        ((1, 3, 9), 3, {0: 27, 1: 12, 2: 6, 3: 4}),
        ((2, 4), 2, {0: 4, 1: 3, 2: 3}),
    ],
)
def test_hyperband_brackets_have_hyperbands_sizes(rungs: tuple[int, ...], factor: int, sizes: dict[int, int]) -> None:
    total = sum(sizes.values())
    rule = Hyperband(rungs, factor)
    assert Counter(rule.bracket(number) for number in range(total)) == sizes
    assert [rule.bracket(n) for n in range(total)] == [rule.bracket(n + total) for n in range(total)]
    firsts = [rule.bracket(number) for number in range(min(total, 2 * len(sizes)))]
    assert len(set(firsts)) > 1 or len(sizes) == 1, "brackets are dealt out evenly, not one after another"


@pytest.mark.parametrize(
    ("pruner", "rule"),
    [
        ("asha", Asha((2, 4), 2)),
        ("hyperband", Hyperband((2, 4), 2)),
        ("median", Median(2)),
        ("none", Never()),
    ],
)
def test_a_space_names_its_rule(pruner: str, rule: object) -> None:
    assert decider_of(space(pruner=pruner)) == rule

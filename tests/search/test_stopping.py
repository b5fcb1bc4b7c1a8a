"""Stopping rules: a table of curves and the decisions that are expected of each rule."""

from __future__ import annotations

from collections import Counter

import pytest

from raytrainer.search.stopping import Asha, Hyperband, Median, Never, decider_of
from raytrainer.search.views import ALONE, TrialView
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
        # arrival: at least the quantile of the others, interpolated: 2/3 of the way for a factor of three
        (ASHA, ["99", "00", "55"], 2, True),  # 0.6
        (ASHA, ["99", "00", "77"], 2, False),
        (ASHA, ["99", "88", "33", "22", "77"], 4, True),  # 0.8
        (ASHA, ["99", "88", "33", "22", "88"], 4, False),
        (ASHA, ["99", "88", "77", "66", "55", "44", "33", "60"], 7, True),  # 0.7
        (ASHA, ["99", "88", "77", "66", "55", "44", "33", "80"], 7, False),  # a dip on the rung is forgiven
        # who came first and passed an empty rung is judged again between rungs while the rung is filling
        (ASHA, ["1", "111", "99"], 1, False),  # two trials on the rung: not yet
        (ASHA, ["1", "111", "99", "99"], 1, True),
        (ASHA, ["1", "119", "22", "33"], 1, True),  # its best after the rung does not count there
        (ASHA, ["1", "911", "88", "77"], 1, False),
        (ASHA, ["1", "111", "99", "99", "99", "99"], 1, True),
        (ASHA, ["1", "111", "99", "99", "99", "99", "99"], 1, True),  # six have come since its last report
        (ASHA, ["1", "1111", "99", "99", "99", "99"], 1, True),
        (ASHA, ["1", "1111", "99", "99", "99", "99", "99"], 1, False),  # it has filled, and was told so before
        (ASHA, ["99", "88", "77", "66", "55", "44", "111"], 6, False),  # it came when the rung had filled
        # beyond the next rung only that one counts
        (ASHA, ["999999", "112222", "33"], 1, True),
        (ASHA, ["1", "112222", "33", "44"], 1, False),
        (ASHA, ["999999", "9922222", "888888", "1"], 1, False),
        # epochs that were not validated: the first report past a rung arrives there with the best before it
        (ASHA, ["99", "1--1"], 1, True),
        (ASHA, ["99", "1--11"], 1, False),
        (ASHA, ["99", "--9"], 1, False),
        (ASHA, ["--9", "11"], 1, False),
        # a factor of two: the median of the others
        (HALVING, ["99", "88", "77", "66"], 1, False),
        (HALVING, ["99", "88", "77", "66"], 2, True),
        (HALVING, ["9999", "8888", "7777", "66"], 1, False),
        (HALVING, ["9999", "8888", "7777", "66"], 2, True),
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
        # not where the baseline dips
        (MEDIAN, ["515", "666", "777", "11"], 3, False),
        (MEDIAN, ["515", "666", "777", "111"], 3, True),
        (Never(), ["99", "99", "99", "00"], 3, False),
    ],
)
def test_decision(rule: Asha | Median | Never, curves: list[str], number: int, stops: bool) -> None:
    shown = views(*curves, complete=3 if isinstance(rule, Median) else 0)
    assert rule.decide(number, shown[number].last_epoch, shown) is stops


@pytest.mark.parametrize("rule", [ASHA, Hyperband((2, 6), 3)])
@pytest.mark.parametrize(
    ("baseline", "ended", "stops"),
    [
        ("911999", False, False),  # a dip: the rung waits at epoch 2
        ("911999", True, False),
        ("9111", False, False),  # it may still be one
        ("911111", True, True),  # it was a fall
    ],
)
def test_where_the_baseline_falls_and_does_not_recover_trials_are_compared_all_the_same(
    rule: Asha | Hyperband, baseline: str, ended: bool, stops: bool
) -> None:
    shown = views(baseline, *(["88"] * 12), complete=int(ended))
    same = next(n for n in range(1, 13) if not isinstance(rule, Hyperband) or rule.bracket(n) == 0)
    shown[same] = TrialView(same, "running", {}, {1: 0.3, 2: 0.3})
    assert rule.decide(same, 2, shown) is stops


@pytest.mark.parametrize("workers", [3, 6, 8, 16, 32])
@pytest.mark.parametrize("way", [1, -1])
def test_in_step_nobody_passes_merely_because_it_reported_first(workers: int, way: int) -> None:
    """As trials do that start together on equal GPUs, the worst first or the best."""
    heights = [0.5 + way * number / 100 for number in range(workers)]
    curves: list[dict[int, float]] = [{} for _ in heights]
    alive = set(range(workers))
    for epoch in range(1, 6):
        for number in sorted(alive):
            curves[number][epoch] = heights[number]
            shown = [TrialView(n, "running", {}, dict(curve)) for n, curve in enumerate(curves)]
            if ASHA.decide(number, epoch, shown):
                alive.remove(number)
    third = sorted(range(workers), key=lambda n: -heights[n])[: -(-workers // 3)]
    assert {number for number in alive if number < 5} <= {0, *third}, "the first that came to an empty rung"
    assert third[0] in alive


@pytest.mark.parametrize("rule", [Asha((3, 9), 3), Hyperband((3, 9), 3)])
@pytest.mark.parametrize("ahead", [1, 2, 4])
@pytest.mark.parametrize("followers", [2, 7, 20])
@pytest.mark.parametrize("number", ["first", "last"])
def test_nobody_passes_merely_because_it_runs_faster(
    rule: Asha | Hyperband, ahead: int, followers: int, number: str
) -> None:
    """One far worse than the others comes to the empty rung epochs before them, which all come between its reports."""
    held = [n for n in range(1, 200) if not isinstance(rule, Hyperband) or rule.bracket(n) == 0][: followers + 1]
    fast = held[0 if number == "first" else -1]
    curves: dict[int, dict[int, float]] = {n: {} for n in range(held[-1] + 1)}
    notes: dict[str, int] = {}
    judged = {}
    for epoch in range(1, 9):
        curves[fast][epoch] = 0.1
        for n in set(held) - {fast}:
            curves[n] |= dict.fromkeys(range(1, epoch - ahead + 1), 1.0)
        shown = [TrialView(n, "running", {}, dict(curve), notes=dict(notes)) for n, curve in curves.items()]
        judged[epoch] = rule.decide(fast, epoch, shown)
        if rule.alone(fast, epoch, shown):
            notes[ALONE] = epoch
    assert [epoch for epoch, stops in judged.items() if stops][:1] == [3 + ahead]


def test_no_rung_stops_nobody() -> None:
    assert not Asha((), 3).decide(1, 5, views("99999", "00000"))


def test_a_decision_does_not_depend_on_who_came_first() -> None:
    curves = ["55", "11", "88", "33", "77", "22", "99"]
    ends = []
    for order in (curves, curves[::-1], sorted(curves)):
        shown = views("00", *order)
        ends.append({curve for number, curve in enumerate(order, start=1) if not ASHA.decide(number, 2, shown)})
    assert ends[0] == ends[1] == ends[2] == {"99", "88", "77"}


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

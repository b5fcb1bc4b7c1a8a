"""Covering arrays: few rows in which any two choices meet, since faults mostly come from two of them together.

See Kuhn, Wallace and Gallo, Software fault interactions (https://doi.org/10.1109/TSE.2004.24).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

Factors = Mapping[str, int]
"""The number of choices that each factor has; they are called 0, 1, 2 and so on."""
Row = Mapping[str, int]
"""One choice of every factor."""
Choice = tuple[str, int]
Pair = frozenset[Choice]
Whole = frozenset[Choice]
"""One choice of each of some factors."""


def pairs(factors: Factors) -> list[Pair]:
    """Every two choices of two factors, in the order of the factors."""
    return [
        frozenset([(one, i), (other, j)])
        for one, other in combinations(factors, 2)
        for i in range(factors[one])
        for j in range(factors[other])
    ]


def pairs_of(row: Row) -> set[Pair]:
    """The pairs that a row has."""
    return {frozenset(pair) for pair in combinations(row.items(), 2)}


def wholes(factors: Factors, together: Sequence[str]) -> list[Whole]:
    """Every combination of the choices of these factors."""
    choices = product(*(range(factors[name]) for name in together))
    return [frozenset(zip(together, choice, strict=True)) for choice in choices]


def covering_array(factors: Factors, together: Sequence[str] = ()) -> list[dict[str, int]]:
    """Rows that have every pair, and every combination of the factors `together`, by a greedy search.

    Each row begins with the first combination that no row has, or else with the first such pair, and is filled with the
    choices that bring the most new pairs; of equal ones with the first, so that a factor's first choice should be the
    cheapest. The same factors give the same rows.
    """
    whole = dict.fromkeys(wholes(factors, together) if together else ())
    missing = dict.fromkeys(pairs(factors))
    rows = []
    while whole or missing:
        row = dict(next(iter(whole or missing)))
        while len(row) < len(factors):
            _, _, factor, choice = max(_gains(factors, row, missing))
            row[factor] = choice
        for pair in pairs_of(row):
            missing.pop(pair, None)
        whole.pop(frozenset((name, row[name]) for name in together), None)
        rows.append({factor: row[factor] for factor in factors})
    return rows


def _gains(factors: Factors, row: Row, missing: Mapping[Pair, None]) -> list[tuple[int, int, str, int]]:
    """For every choice that the row could take next: the new pairs, and what decides between equal ones."""
    return [
        (sum(frozenset([(factor, choice), taken]) in missing for taken in row.items()), -choice, factor, choice)
        for factor in factors
        if factor not in row
        for choice in range(factors[factor])
    ]

"""Conditions: their order, when they hold, and the size of a search that has some."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrainer.config.assemble import defaults
from raytrainer.config.conditions import condition_problems, in_order, is_active, requirements
from raytrainer.config.parameters import Categorical, Float, Integer, Parameter
from raytrainer.config.search_size import search_size, search_table
from raytrainer.config.space import Space

CHAIN: dict[str, Parameter] = {
    "grandchild": Float(low=0, high=1, step=0.5, when={"child": [1, 2]}),
    "child": Integer(low=0, high=3, default=1, when={"parent": "b"}),
    "parent": Categorical(choices=["a", "b"]),
}


def space(parameters: dict[str, Parameter]) -> Space:
    return Space(model="m.pt", data="d.yaml", space=parameters)


def test_conditions_come_before_what_depends_on_them() -> None:
    assert in_order(CHAIN) == ["parent", "child", "grandchild"]
    assert requirements(CHAIN, "grandchild") == {"child": [1, 2], "parent": ["b"]}


@pytest.mark.parametrize(
    ("values", "active"),
    [({"parent": "b", "child": 1}, True), ({"parent": "b", "child": 3}, False), ({"parent": "a"}, False)],
)
def test_a_parameter_is_active_where_all_its_conditions_hold(values: dict[str, Any], active: bool) -> None:
    assert is_active(CHAIN["grandchild"], values) is active


def test_defaults_are_those_of_active_parameters_in_the_order_of_the_file() -> None:
    assert defaults(space(CHAIN)) == {"parent": "a"}
    on = {**CHAIN, "parent": Categorical(choices=["a", "b"], default="b")}
    assert list(defaults(space(on)).items()) == [("grandchild", 0.5), ("child", 1), ("parent", "b")]


def test_true_does_not_satisfy_a_condition_on_one() -> None:
    child = Categorical(choices=[1, 2], when={"parent": 1})
    assert is_active(child, {"parent": 1})
    assert not is_active(child, {"parent": True})


def test_longer_circles_are_found() -> None:
    ring = {name: Categorical(choices=[1, 2], when={other: 1}) for name, other in zip("abcd", "bcda", strict=True)}
    outside = Categorical(choices=[1, 2], when={"a": 1})
    problems = list(condition_problems({"x": outside, **ring}, {}))
    assert [message for _, _, message in problems] == ["goes round in a circle: a needs b needs c needs d needs a"]


def test_the_size_of_a_search_counts_active_parameters_only() -> None:
    assert search_size(space(CHAIN)).combinations == 1 + (2 * 3 + 2)
    assert str(search_size(space({"x": Categorical(choices=[1, 2])}))) == "1 parameter, 2 combinations"
    assert str(search_size(space({"x": Float(low=0, high=1)}))) == "1 parameter, continuous"
    assert str(search_size(space({}))) == "0 parameters, 1 combination"


def test_sizes_beyond_counting_end_at_once() -> None:
    many: dict[str, Parameter] = {f"p{i}": Categorical(choices=[1, 2]) for i in range(40)}
    pairs = many | {f"c{i}": Categorical(choices=[1, 2], when={f"p{i}": 1}) for i in range(40)}
    assert search_size(space(pairs)).combinations == 3**40
    tangled = many | {"c": Categorical(choices=[1, 2], when=dict.fromkeys(many, 1))}
    assert str(search_size(space(tangled))) == "41 parameters, very many combinations"
    large = {f"p{i}": Integer(low=1, high=10**9) for i in range(4)}
    assert search_size(space(dict(large))).combinations == 10**36


def test_the_table_shows_what_a_user_wrote() -> None:
    rows = search_table(space({**CHAIN, "lr0": Float(low=1e-5, high=1e-2, log=True)}))
    assert [(row.name, row.kind, row.range, row.default, row.condition) for row in rows] == [
        ("grandchild", "float", "0 to 1, step 0.5", "0.5", "child is 1 or 2"),
        ("child", "integer", "0 to 3", "1", "parent is b"),
        ("parent", "choice", "a, b", "a", ""),
        ("lr0", "float log", "1e-05 to 0.01", "0.000316", ""),
    ]


@st.composite
def discrete_spaces(draw: st.DrawFn) -> dict[str, Parameter]:
    """Up to five choices, each perhaps on a condition on an earlier one."""
    parameters: dict[str, Parameter] = {}
    for name in "abcde"[: draw(st.integers(1, 5))]:
        choices: list[Any] = list(range(draw(st.integers(2, 4))))
        when: dict[str, Any] | None = None
        if draw(st.booleans()) and parameters:
            other = draw(st.sampled_from(sorted(parameters)))
            allowed: list[Any] = parameters[other].choices  # type: ignore[union-attr]
            when = {other: draw(st.lists(st.sampled_from(allowed), min_size=1, max_size=2, unique=True))}
        parameters[name] = Categorical(choices=choices, when=when)
    return parameters


@given(discrete_spaces())
def test_combinations_are_those_that_enumeration_finds(parameters: dict[str, Parameter]) -> None:
    found = set()
    for values in product(*(parameter.choices for parameter in parameters.values())):  # type: ignore[union-attr]
        active: dict[str, Any] = {}
        for name, value in zip(parameters, values, strict=True):
            if is_active(parameters[name], active):
                active[name] = value
        found.add(tuple(active.items()))
    assert search_size(space(parameters)).combinations == len(found)

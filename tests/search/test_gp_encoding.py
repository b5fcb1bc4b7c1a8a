"""Every kind of parameter goes to the unit cube and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from raytrainer.search.gp.encoding import Encoding

KINDS: list[tuple[BaseDistribution, list[tuple[Any, float]]]] = [
    (FloatDistribution(-1.0, 3.0), [(-1.0, 0.0), (0.0, 0.25), (3.0, 1.0)]),
    (FloatDistribution(1e-4, 1e-2, log=True), [(1e-4, 0.0), (1e-3, 0.5), (1e-2, 1.0)]),
    (FloatDistribution(0.0, 0.3, step=0.1), [(0.0, 0.125), (0.1, 0.375), (0.3, 0.875)]),
    (IntDistribution(1, 4), [(1, 0.125), (2, 0.375), (4, 0.875)]),
    (IntDistribution(2, 10, step=4), [(2, 1 / 6), (6, 0.5), (10, 5 / 6)]),
    (IntDistribution(1, 4, log=True), [(1, np.log(2) / np.log(9)), (4, np.log(8) / np.log(9))]),
    (CategoricalDistribution(["a", None, True, 3]), [("a", 0.125), (None, 0.375), (True, 0.625), (3, 0.875)]),
    (CategoricalDistribution(["one"]), [("one", 0.5)]),
    (FloatDistribution(2.0, 2.0), []),
]
kinds = pytest.mark.parametrize(("distribution", "places"), KINDS, ids=lambda kind: str(kind)[:40])


@kinds
def test_values_have_their_places(distribution: BaseDistribution, places: list[tuple[Any, float]]) -> None:
    encoding = Encoding({"x": distribution})
    points = encoding.encode([{"x": value} for value, _ in places])
    assert points[:, 0] == pytest.approx([place for _, place in places])
    decoded = [encoding.decode(point)["x"] for point in points]
    assert [type(value) for value in decoded] == [type(value) for value, _ in places]
    assert [_rounded(value) for value in decoded] == [value for value, _ in places]


@kinds
def test_any_place_is_a_value_and_snaps_onto_it(distribution: BaseDistribution, places: object) -> None:  # noqa: ARG001
    encoding = Encoding({"x": distribution})
    points = np.concatenate([np.linspace(0, 1, 41), np.random.default_rng(0).random(40)])[:, None]
    values = [encoding.decode(point) for point in points]
    assert all(distribution._contains(distribution.to_internal_repr(value["x"])) for value in values)
    if distribution.single():
        return
    snapped = encoding.snap(points)
    assert snapped == pytest.approx(encoding.encode(values), abs=1e-12)
    assert [_rounded(encoding.decode(point)["x"]) for point in snapped] == [_rounded(one["x"]) for one in values]


def test_rounding_is_fair_to_both_ends() -> None:
    encoding = Encoding({"x": IntDistribution(1, 3), "y": FloatDistribution(0, 1, step=0.5)})
    points = np.repeat(np.linspace(0.001, 0.999, 300)[:, None], 2, axis=1)
    drawn = [encoding.decode(point) for point in points]
    for name, values in {"x": [1, 2, 3], "y": [0.0, 0.5, 1.0]}.items():
        assert [sum(one[name] == value for one in drawn) for value in values] == [100, 100, 100]


def test_what_is_absent_stays_absent_and_is_finite_for_the_kernel() -> None:
    encoding = Encoding({"kind": CategoricalDistribution(["a", "b", "c"]), "rate": FloatDistribution(0, 1)})
    points = encoding.encode([{"kind": "b"}, {"rate": 0.25}, {}])
    assert encoding.decode(points[0]) == {"kind": "b"}
    assert encoding.decode(encoding.snap(points)[1]) == {"rate": 0.25}
    assert encoding.decode(points[2]) == {}
    assert np.isfinite(encoding.inputs(points)).all()
    assert encoding.owners == [0, 0, 0, 1]


def test_two_choices_are_as_far_apart_as_two_ends() -> None:
    encoding = Encoding({"kind": CategoricalDistribution(["a", "b", "c"]), "rate": FloatDistribution(0, 1)})
    inputs = encoding.inputs(
        encoding.encode([{"kind": "a", "rate": 0}, {"kind": "c", "rate": 0}, {"kind": "a", "rate": 1}])
    )
    assert np.square(inputs[0] - inputs[1]).sum() == pytest.approx(1)
    assert np.square(inputs[0] - inputs[2]).sum() == pytest.approx(1)


def test_a_value_outside_its_range_goes_to_the_end() -> None:
    encoding = Encoding({"x": FloatDistribution(1, 2), "y": FloatDistribution(0.1, 1, log=True)})
    assert encoding.encode([{"x": 5.0, "y": 0.0}, {"x": -5.0, "y": 1.0}]).tolist() == [[1, 0], [0, 1]]


def _rounded(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value

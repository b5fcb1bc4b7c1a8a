"""Constraints are comparisons over the grammar of the fitness; what they are violated by is a share of the bound."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest

from raytrainer.config.check import check
from raytrainer.config.constraint_ranges import never_kept
from raytrainer.config.constraints import UNDEFINED, RuledOut, parse_constraint, total
from raytrainer.config.fitness import FitnessError
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError

METRICS = {
    "mAP50": 0.5,
    "AP[a]": 0.3,
    "AP[a < 3]": 0.9,
    "AP[b]": 0.1,
    "latency_ms": 12.0,
    "params": 4e6,
    "precision": 0.0,
}


@pytest.mark.parametrize(
    ("text", "violation"),
    [
        ("latency_ms < 8", 0.5),
        ("latency_ms<=12", 0.0),
        ("latency_ms < 24", -0.5),
        ("AP[a] > 0.4", 0.25),
        ("AP[a] >= 0.2", -0.5),
        ("AP[a < 3] > 0.45", -1.0),
        ("min(AP) > .2", 0.5),
        ("mAP50 / precision > 0.1", UNDEFINED),
        ("mAP50 - AP[a] <= 0", 0.2),
        ("-params > -2e6", 1.0),
    ],
)
def test_a_violation_is_a_share_of_the_bound(text: str, violation: float) -> None:
    assert parse_constraint(text).violation(METRICS) == pytest.approx(violation)


@pytest.mark.parametrize(("text", "kept"), [("mAP50 < 0.5", False), ("mAP50 <= 0.5", True), ("mAP50 > 0.5", False)])
def test_a_strict_comparison_is_violated_by_its_bound(text: str, kept: bool) -> None:
    assert (total([parse_constraint(text).violation(METRICS)]) == 0) is kept


@pytest.mark.parametrize(
    "text",
    ["latency_ms", "latency_ms < ", "8 > latency_ms", "latency_ms == 8", "latency_ms < 8 ms", "latency < 8", "5 < 8",
     "file.py:score > 1", "mAP50 < nan", "mAP50 < 0.3 < 0.4", "mAP50 < 1e999"],
)  # fmt: skip
def test_what_is_no_comparison_is_told(text: str) -> None:
    with pytest.raises(FitnessError):
        parse_constraint(text)


def test_what_is_known_before_the_first_epoch() -> None:
    assert parse_constraint("latency_ms + 0*params < 8").known_before
    assert not parse_constraint("AP[a] / latency_ms > 1").known_before
    assert not parse_constraint("min(AP) > 1").known_before


def test_ruled_out_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(RuledOut("too slow", [0.5, 0.0])))
    assert (error.reason, error.violations) == ("too slow", [0.5, 0.0])
    assert math.isclose(total([0.5, -2.0, 0.25]), 0.75)


def test_mistakes_have_their_line_their_key_and_the_nearest_name(tmp_path: Path, bccd: Path, yolo_tiny: Path) -> None:
    file = tmp_path / "space.yaml"
    asked = ["latencyms < 8", "AP[Platelet] > 0.4", "mAP50 > 0.4", "mAP50 0.4", "recall > 2"]
    lines = [f"model: {yolo_tiny}", f"data: {bccd}", "subject_to:", *(f"  - {text}" for text in asked)]
    file.write_text("\n".join([*lines, "space: {mosaic: {low: 0, high: 1}}"]))
    told = [str(problem) for problem in check(load_space(file))]
    assert len(told) == 4
    assert f"{file}:4: subject_to.0: unknown metric 'latencyms', did you mean 'latency_ms'?" in told[0]
    assert f"{file}:5: subject_to.1: the dataset has no class 'Platelet', did you mean 'Platelets'?" in told[1]
    assert f"{file}:7: subject_to.3: expected an expression, one of < <= > >=, and a number" in told[2]
    assert f"{file}:8: subject_to.4: 'recall > 2' is never kept: recall is from 0 to 1" in told[3]


def test_it_stands_at_the_top_and_is_a_list(tmp_path: Path, bccd: Path, yolo_tiny: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(f"model: {yolo_tiny}\ndata: {bccd}\ntrainer: {{subject_to: [mAP50 > 1]}}\nsubject_to: mAP50 > 1\n")
    with pytest.raises(UserError) as told:
        load_space(file)
    assert "trainer.subject_to: stands at the top of the file" in str(told.value)
    assert "subject_to: expected a list of (text), got 'mAP50 > 1'" in str(told.value)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["recall > 2"], [(0, "'recall > 2' is never kept: recall is from 0 to 1")]),
        (["recall > 1"], [(0, "'recall > 1' is never kept: recall is from 0 to 1")]),
        (["AP[WBC] < 0"], [(0, "'AP[WBC] < 0' is never kept: AP[WBC] is from 0 to 1")]),
        (["latency_ms < 0", "params <= 0"], [(0, "'latency_ms < 0' is never kept: latency_ms is never negative")]),
        (["recall > 0.5", "mAP50 > 0.1", "recall < 0.2"], [(2, "'recall < 0.2' is never kept beside 'recall > 0.5'")]),
        (["recall > 0.5", "recall <= 0.5"], [(1, "'recall <= 0.5' is never kept beside 'recall > 0.5'")]),
        (["recall >= 0.5", "recall <= 0.5"], []),
        (["recall >= 1", "latency_ms < 8", "latency_ms > 4", "GFLOPs > 900", "recall - precision > 2"], []),
    ],
)
def test_what_no_trial_could_keep(asked: list[str], told: list[tuple[int, str]]) -> None:
    assert list(never_kept([(place, parse_constraint(text)) for place, text in enumerate(asked)])) == told

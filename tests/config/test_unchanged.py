"""What nothing searched changes is no objective, and a constraint on it is kept by all trials or by none."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.config.load import load_space
from raytrainer.config.unchanged import kept_by_none, no_objective

HEAD = "model: yolo11n.pt\ndata: coco8.yaml\n"
LR0 = "space: {lr0: {low: 0.001, high: 0.01}}\n"
IMGSZ = "space: {imgsz: [64, 96]}\n"
MEASURED = {"latency_ms": 12.0, "params": 4e6, "GFLOPs": 8.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LR0 + "fitness: mAP50\n", []),
        (LR0, []),
        (LR0 + "fitness: 0 - params\n", ["4: fitness: '0 - params': nothing that is searched changes params"]),
        (LR0 + "fitness: [mAP50, -latency_ms - GFLOPs]\n",
         ["4: fitness.1: '-latency_ms - GFLOPs': nothing that is searched changes GFLOPs and latency_ms"]),
        (LR0 + "fitness: [mAP50, recall - 0.01*latency_ms]\n", []),
        (LR0 + "fitness: min(AP) - 0.001*latency_ms\n", []),
        (LR0 + "fitness: AP[cat] - 0.001*latency_ms\n", []),
        (LR0 + "fitness: fit.py:fit\n", []),
        (IMGSZ + "fitness: [mAP50, -latency_ms]\n", []),
        (IMGSZ + "fitness: [mAP50, -params]\n", ["4: fitness.1: '-params': nothing that is searched changes params"]),
    ],
)  # fmt: skip
def test_an_objective_that_comes_out_the_same_in_every_trial_is_told(
    text: str, expected: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(HEAD + text)
    (tmp_path / "fit.py").write_text("def fit(metrics):\n    return metrics['latency_ms']\n")
    told = [str(problem).removeprefix(f"{file}:") for problem in no_objective(load_space(file))]
    assert told == [f"{each}, the same in every trial" for each in expected]


@pytest.mark.parametrize(
    ("searched", "constraints", "expected"),
    [
        (LR0, "[recall > 0.5, params < 5e6]", []),
        (LR0, "[recall > 0.5, params < 1e6]", ["subject_to.1: params is 4e+06, and subject_to asks for params < 1e6"]),
        (LR0, "[GFLOPs < 4]", ["subject_to.0: GFLOPs is 8, and subject_to asks for GFLOPs < 4"]),
        (IMGSZ, "[GFLOPs < 4]", []),
        (LR0, "[latency_ms < 1]", []),
    ],
)  # fmt: skip
def test_a_constraint_that_no_trial_keeps_is_told_before_one_is_begun(
    searched: str, constraints: str, expected: list[str], tmp_path: Path
) -> None:
    """A latency may be kept on another device than that of the first batch."""
    file = tmp_path / "space.yaml"
    file.write_text(f"{HEAD}{searched}subject_to: {constraints}\n")
    told = [str(problem).removeprefix(f"{file}:") for problem in kept_by_none(load_space(file), MEASURED)]
    changes = [each.split()[1] for each in expected]
    assert told == [
        f"4: {each}; nothing that is searched changes {name}" for each, name in zip(expected, changes, strict=True)
    ]

"""What is told of constraints: kept, violated, or not known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Categorical, Search, Space
from raytrainer.results.feasibility import violation
from raytrainer.results.frame import frame
from raytrainer.results.report import report
from raytrainer.results.saved import read_study
from raytrainer.search.study import Study
from raytrainer.search.views import TrialView

SUBJECT_TO = ["latency_ms < 8", "recall > 0.5"]


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (TrialView(0, "complete", {}, {1: 0.3}, 0.3, 1, violations={1: [-0.2, 0.4]}), [-0.2, 0.4]),
        (TrialView(0, "pruned", {}, {}, constraints=[0.5, 0.0]), [0.5, None]),
        (TrialView(0, "running", {}, {}), [None, None]),
    ],
)
def test_a_violation_is_known_or_not(view: TrialView, told: list[float | None]) -> None:
    assert [violation(view, place) for place in range(2)] == told


def test_report_and_frame_do_not_call_kept_what_nobody_knows(tmp_path: Path) -> None:
    asked = Space(
        model="m.yaml", data="d.yaml", name="cells", train={"epochs": 2}, subject_to=SUBJECT_TO,
        space={"imgsz": Categorical(choices=[640, 320])}, search=Search(trials=2, sampler="random", pruner="none"),
    )  # fmt: skip
    folder = StudyFolder(tmp_path / "cells")
    with Study.open(folder.path, asked) as study:
        assert study.ask()
        study.finish(0, "pruned", "latency_ms is 12, and subject_to asks for latency_ms < 8", [0.5, 0.0])
        assert study.ask()
        study.report(1, 1, 0.3, [-0.2, -0.1])
        study.finish(1, "complete")
    (folder.path / "space.yaml").write_text(asked.to_yaml())
    study_there = read_study(str(folder.path))
    rows = [line for line in report(study_there).splitlines() if line.startswith(tuple(f"| {c}" for c in SUBJECT_TO))]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells == [
        ["latency_ms < 8", "kept", "violated by 50 % of its bound", "1 of 1"],
        ["recall > 0.5", "kept", "", "1 of 1"],
    ]
    table = frame(folder, study_there.trials, SUBJECT_TO)
    assert table["violation_latency_ms < 8"].tolist() == [0.5, -0.2]
    assert math.isnan(table["violation_recall > 0.5"][0])
    assert table["feasible"].tolist() == [False, True]

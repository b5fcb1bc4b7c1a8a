"""At which epochs trials are compared is said, and so is that nobody can be stopped, or that curves mean little yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrainer.cli import main
from raytrainer.config.load import load_space
from raytrainer.config.space import Float, Integer, Search, Space
from raytrainer.results.early_stopping import how_it_searches, idle, stopping_rule, stops_nobody, too_early

SHIPPED = Path(__file__).resolve().parents[2] / "search_spaces"
SLOW = {"freeze": 3, "unfreeze_epoch": 1, "unfreeze_every": 2}
"""The second layer trains from epoch 4 on, the third from epoch 6."""


def space(search: dict[str, Any], trainer: dict[str, Any] | None = None, **train: Any) -> Space:
    return Space(model="m", data="d", train={"epochs": 30, **train}, trainer=trainer or {}, search=Search(**search))


@pytest.mark.parametrize(
    ("asked", "rule", "warnings"),
    [
        (space({}), "pruner asha at epochs 4 and 12", []),
        (space({"reduction_factor": 2}), "pruner asha at epochs 4, 8 and 16", []),
        (space({"pruner": "asha-promote", "min_epochs": 12}), "pruner asha-promote at epoch 12", []),
        (space({"pruner": "median"}), "pruner median from epoch 4 on, once 5 trials are complete", []),
        (space({"pruner": "none"}), "pruner none", []),
        (space({"schedule": "pbt"}), "pruner none", []),
        (space({"min_epochs": 4}), "pruner asha at epochs 4 and 12", []),
        (
            space({"min_epochs": 3}), "pruner asha at epochs 3, 9 and 27",
            ["search.min_epochs: trials are compared at epoch 3, within 3 epochs of warm-up, when curves mean little; "
             "null waits for later ones"],
        ),
        (
            space({"min_epochs": 1}, SLOW, warmup_epochs=0.5), "pruner asha at epochs 1, 3, 9 and 27",
            ["search.min_epochs: trials are compared at epoch 1, within 1 epoch of warm-up and 5 epochs of frozen "
             "layers, when curves mean little; null waits for later ones"],
        ),
        (
            space({"min_epochs": 4, "pruner": "hyperband"}, SLOW), "pruner hyperband at epochs 4 and 12",
            ["search.min_epochs: trials are compared at epoch 4, within 5 epochs of frozen layers, when curves mean "
             "little; null waits for later ones"],
        ),
        (space({"min_epochs": 6}, SLOW), "pruner asha at epochs 6 and 18", []),
        (
            space({}, epochs=4), "pruner asha, which stops nobody",
            ["search.pruner: asha stops nobody: of 4 epochs, trials are first compared at epoch 4, after 3 epochs of "
             "warm-up; with search.min_epochs they are earlier"],
        ),
        (
            space({"pruner": "median"}, {**SLOW, "unfreeze_every": 20}), "pruner median, which stops nobody",
            ["search.pruner: median stops nobody: of 30 epochs, trials are first compared at epoch 42, after 3 epochs "
             "of warm-up and 41 epochs of frozen layers; with search.min_epochs they are earlier"],
        ),
        (
            space({"min_epochs": 30}), "pruner asha, which stops nobody",
            ["search.min_epochs: asha stops nobody: of 30 epochs, trials are first compared at epoch 30"],
        ),
        (
            space({}, epochs=1, warmup_epochs=0), "pruner asha, which stops nobody",
            ["search.pruner: asha stops nobody: of 1 epoch, trials are first compared at epoch 1; with "
             "search.min_epochs they are earlier"],
        ),
        (
            space({"pruner": "none", "min_epochs": 4, "reduction_factor": 2}), "pruner none",
            [f"search.{name}: has no effect: the pruner none does not look at it"
             for name in ("min_epochs", "reduction_factor")],
        ),
        (
            space({"pruner": "median", "min_epochs": 5, "reduction_factor": 2}),
            "pruner median from epoch 5 on, once 5 trials are complete",
            ["search.reduction_factor: has no effect: the pruner median does not look at it"],
        ),
    ],
)  # fmt: skip
def test_what_is_said(asked: Space, rule: str, warnings: list[str]) -> None:
    assert stopping_rule(asked) == rule
    assert [str(problem) for problem in (*stops_nobody(asked), *idle(asked), *too_early(asked))] == warnings


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"sampler": "tpe"}, "sampler tpe, pruner asha at epochs 4 and 12"),
        ({"schedule": "pb2"}, "schedule pb2"),  # which asks no sampler and stops nobody
    ],
)
def test_how_it_searches(search: dict[str, Any], told: str) -> None:
    assert how_it_searches(space(search)) == told


def test_what_is_searched_counts_with_its_highest_value() -> None:
    searched = {"warmup_epochs": Float(low=0.0, high=5.0), "unfreeze_epoch": Integer(low=1, high=9)}
    asked = space({"min_epochs": 5}).model_copy(update={"space": searched})
    (problem,) = too_early(asked)
    assert "within 5 epochs of warm-up and 9 epochs of frozen layers" in problem.message


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_spaces_compare_trials_when_curves_mean_something(file: Path) -> None:
    asked = load_space(file)
    assert list(stops_nobody(asked)) == []
    assert [problem.line for problem in too_early(asked)] == ([26] if file.stem == "demo" else [])


@pytest.mark.parametrize(
    ("search", "rule", "warning"),
    [
        ("{min_epochs: 2}", "pruner asha at epoch 2; fitness", ":4: search.min_epochs: trials are compared at epoch 2"),
        ("{pruner: hyperband}", "pruner hyperband, which stops nobody; fitness", ":4: search.pruner: hyperband stops"),
    ],
)
def test_a_check_says_it(
    search: str, rule: str, warning: str, tmp_path: Path, bccd: Path, yolo_tiny: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = tmp_path / "cells.yaml"
    train = "train: {epochs: 4, imgsz: 64, batch: 4, workers: 0, amp: false, device: cpu, optimizer: AdamW}"
    file.write_text(f"model: {yolo_tiny}\ndata: {bccd}\n{train}\nsearch: {search}\nspace: {{lr0: [0.001, 0.002]}}\n")
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr()
    assert rule in said.out
    assert f"warning: {file}{warning}" in said.err

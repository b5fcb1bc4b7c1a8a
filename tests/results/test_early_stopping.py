"""At which epochs trials are compared is said, and so is an option without effect, or that curves mean little yet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from raytrainer import api
from raytrainer.cli import main
from raytrainer.cluster.plan import Plan
from raytrainer.commands.doubts import doubts
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.space import Float, Integer, Search, Space
from raytrainer.results.early_stopping import how_it_searches, stopping_rule, stops_nobody, too_early
from raytrainer.search.budget import Standing

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
    assert [str(problem) for problem in (*doubts(asked), *too_early(asked))] == warnings


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


def only_watched(space: Space, *, watch: api.Watch, **_: Any) -> api.Outcome:
    """A study that ends before its first trial."""
    folder = StudyFolder(Path(space.storage.folder) / space.name)
    plan, standing = Plan(cpus=1, gpus=0, ranks=1, concurrent=1), Standing(over=True)
    with watch(api.Running(space, folder, plan, list, None, sys.stdout, lambda: standing)):
        return api.Outcome(space, folder, [], None, interrupted=False)


@pytest.mark.parametrize("verb", ["check", "tune", "tune --quiet"])
@pytest.mark.parametrize(
    ("search", "rule", "warning"),
    [
        ("{min_epochs: 2}", "pruner asha at epoch 2", "search.min_epochs: trials are compared at epoch 2"),
        ("{pruner: hyperband}", "pruner hyperband, which stops nobody", "search.pruner: hyperband stops"),
        ("{pruner: none, min_epochs: 2}", "pruner none", "search.min_epochs: has no effect"),
        ("{pruner: median, min_epochs: 3, reduction_factor: 2}", "pruner median", "search.reduction_factor: has no"),
    ],
)
def test_it_is_said_before_the_start(
    verb: str, search: str, rule: str, warning: str, tmp_path: Path, bccd: Path, yolo_tiny: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(api, "run_study", only_watched)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "cells.yaml"
    train = "train: {epochs: 4, imgsz: 64, batch: 4, workers: 0, amp: false, device: cpu, optimizer: AdamW}"
    file.write_text(f"model: {yolo_tiny}\ndata: {bccd}\n{train}\nsearch: {search}\nspace: {{lr0: [0.001, 0.002]}}\n")
    assert main([*verb.split(), str(file)]) == (0 if verb == "check" else 1)
    said = capsys.readouterr()
    assert (f"sampler auto, {rule}" in said.out) is (verb == "check")
    told = verb == "check" or (verb == "tune" and "compared" not in warning)  # who gave it has decided when to compare
    assert (f"warning: {file}:4: {warning}" in said.out + said.err) is told

"""What is said of the best trial is true of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.results.announcement import announce, compared, difference, retrain_command
from raytrainer.results.best import Best
from raytrainer.search.views import TrialView

from .trials import trial

DEFAULTS = trial(0, curve=(0.1, 0.2))

CASES: list[tuple[str, TrialView, TrialView | None, str]] = [
    ("better", trial(3, curve=(0.25,)), DEFAULTS,
     "+0.0500 (+25.0 %) over the defaults' 0.2000; one seed each, so part of it can be noise"),
    ("the defaults won", DEFAULTS, DEFAULTS, "nothing better than the defaults was found, these are the defaults"),
    ("worse than defaults that were stopped", trial(3, curve=(0.15,)), trial(0, "pruned", (0.2,)),
     "not better than the defaults: -0.0500 (-25.0 %) against their 0.2000"),
    ("defaults that were stopped early", trial(3, curve=(0.25,)), trial(0, "pruned", (0.2,)),
     "+0.0500 (+25.0 %) over the defaults' 0.2000, pruned after epoch 1; one seed each, so part of it can be noise"),
    ("no relative gain over nothing", trial(3, curve=(0.25,)), trial(0, curve=(0.0,)),
     "+0.2500 over the defaults' 0.0000; one seed each, so part of it can be noise"),
    ("none over a negative fitness", trial(3, curve=(-0.5,)), trial(0, curve=(-1.0,)),
     "+0.5000 over the defaults' -1.0000; one seed each, so part of it can be noise"),
    ("defaults that failed", trial(3, curve=(0.25,)), trial(0, "failed", reason="out of memory"),
     "the defaults have no fitness to compare with (trial 0 failed: out of memory)"),
    ("defaults that never ran", trial(3, curve=(0.25,)), None, "the defaults have no fitness to compare with"),
]  # fmt: skip


@pytest.mark.parametrize(("best", "start", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_comparison(best: TrialView, start: TrialView | None, text: str) -> None:
    assert compared(best, start) == text


def test_one_line_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    best = Best(trial(3, curve=(0.1, 0.25)), DEFAULTS, tmp_path / "runs/my cells/best/best.yaml", None)
    line = announce(best)
    assert "\n" not in line
    assert line.startswith("Best fitness 0.2500 (trial 3, epoch 2); +0.0500 (+25.0 %) over the defaults' 0.2000")
    assert line.endswith("Retrain it: raytrainer train 'runs/my cells/best/best.yaml'")


def test_a_best_trial_that_did_not_complete_is_said_to_be_one() -> None:
    best = Best(trial(3, "pruned", (0.25,)), DEFAULTS, Path("best.yaml"), None)
    assert "(trial 3, epoch 1, pruned, no trial has completed)" in announce(best)


def test_a_study_without_a_fitness() -> None:
    assert announce(None) == "No trial has a fitness yet: nothing was written."


def test_a_file_elsewhere_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert retrain_command(tmp_path / "best.yaml") == f"raytrainer train {tmp_path / 'best.yaml'}"


@pytest.mark.parametrize(
    ("value", "start", "text"),
    [(0.3, 0.2, "+0.1000 (+50.0 %)"), (0.1, 0.2, "-0.1000 (-50.0 %)"), (1e300, 1e-300, f"{1e300:+.4f}")],
)
def test_difference(value: float, start: float, text: str) -> None:
    assert difference(value, start) == text


@pytest.mark.parametrize("weights", [Path("best.pt"), None])
def test_weights_that_are_gone_are_told(weights: Path | None) -> None:
    told = announce(Best(DEFAULTS, DEFAULTS, Path("best.yaml"), weights))
    assert ("these are the defaults. Its weights are not there any more. Retrain it: " in told) is (weights is None)

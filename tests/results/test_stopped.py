"""A study that stopped by itself says why, and what to do, to whoever looks at it later."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.cli import main
from raytrainer.config.space import Failures, Float, Search, Space
from raytrainer.search.study import Study

SPACE = Space(
    model="m",
    data="d",
    name="cells",
    fitness="mAP50",
    space={"lr0": Float(low=0.1, high=1.0)},
    search=Search(trials=5, sampler="random"),
    failures=Failures(same_error=2),
)
LATE = "latency_ms is 9, and subject_to asks for latency_ms < 8"
BOUND = SPACE.model_copy(update={"subject_to": ["latency_ms < 8"]})

FAILS = "Stopped: every trial fails with KeyError: 'x'. "
ON = "Once that is mended, go on: raytrainer tune --space runs/cells/space.yaml; logs: runs/cells/trials"
RULED_OUT = f"Stopped: no trial is trained: {LATE}; nothing that is searched changes latency_ms. "
CHANGE = "Change subject_to, under another --name"


def stop(space: Space) -> None:
    """Two trials that fail alike, or that violate a constraint."""
    with Study.open(Path("runs/cells"), space) as study:
        study.folder.space.write_text(space.to_yaml())
        for _ in range(2):
            trial = study.ask()
            assert trial is not None
            if space.subject_to:
                study.finish(trial.number, "pruned", LATE, [1 / 8])
            else:
                study.finish(trial.number, "failed", "KeyError: 'x'")


def said(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([verb, "cells"]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("verb", ["status", "report"])
@pytest.mark.parametrize(
    ("space", "why", "counts", "tables"),
    [
        (SPACE, FAILS + ON, "0 | 0 | 0 | 2", ["## Failures Stopped:"]),
        (BOUND, RULED_OUT + CHANGE, "0 | 2 | 0 | 0", ["## Failures Stopped:", f"| 0 | {LATE} | | 1 | {LATE} |"]),
    ],
)
def test_why_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    space: Space, why: str, counts: str, tables: list[str], verb: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    stop(space)
    text = said(verb, capsys)
    assert f"nobody is running it. {why}" in text
    if verb == "report":
        assert "| complete | pruned | failed | interrupted |" in text
        assert f"| {counts} |" in text
        assert all(part in text for part in tables)


def test_once_it_trains_nothing_is_said_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stop(SPACE)
    with Study.open(Path("runs/cells"), SPACE) as study:
        assert "Stopped" not in said("status", capsys), "somebody runs it"
        study.report(0, 1, 0.5)
    assert "Stopped" not in said("status", capsys)
    assert "Failures" not in said("report", capsys)

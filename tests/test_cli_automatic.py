"""What `auto` puts into a search is said before anything runs, by `check` and by `tune`."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from raytrainer.cli import main

SPACE = """
model: MODEL
data: DATA
train: {epochs: 3, imgsz: 64, batch: 4, workers: 0, amp: false, device: cpu}
space: {lr0: auto, optimizer: [AdamW, SGD], class_weights: auto}
"""
LR0 = "lr0: auto searches lr0, float log, 0.0001429 to 0.1; default 0.001429; wide enough for AdamW and SGD"
POWER = "class_weights: auto searches class_weights_power, float, 0 to 1; default 0"
OFFSETS = [
    f"class_weights: auto searches class_weight_offsets.{name}, float, -0.69 to 0.69; default 0"
    for name in ("WBC", "Platelets")
]


@pytest.fixture
def space(tmp_path: Path, bccd: Path, yolo_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "cells.yaml"
    file.write_text(SPACE.replace("MODEL", str(yolo_tiny)).replace("DATA", str(bccd)))
    return file


@pytest.mark.parametrize(
    ("changes", "told", "searched"),
    [
        ("", [LR0, POWER, *OFFSETS], 5),
        ("--set space.class_weights_power=null --set space.optimizer=null --set train.optimizer=AdamW",
         [LR0.replace("0.1;", "0.01429;").partition("; wide")[0], *OFFSETS,
          "class_weights: auto fixes class_weights_power at 0"], 3),
        ("--set train.single_cls=true",
         [LR0.replace("0.0001429", "0.0002").replace("0.001429", "0.002"),
          "class_weights: auto adds nothing to the search: there is only one class"], 2),
    ],
)  # fmt: skip
def test_a_check_says_it_first(
    changes: str, told: list[str], searched: int, space: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(space), *shlex.split(changes)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(told)] == told
    assert lines[len(told)].startswith("parameter ")
    assert any(line.startswith(f"{searched} parameters, continuous;") for line in lines)
    assert lines[-1] == "cells: nothing wrong was found"


def test_a_constraint_that_no_trial_keeps_is_told_with_its_line(
    space: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["fitness=[mAP50, -params]", "subject_to=[GFLOPs > 0, params < 10]"]
    assert main(["check", str(space), *(part for each in asked for part in ("--set", each))]) == 2
    said = capsys.readouterr().err
    assert "fitness.1: '-params': nothing that is searched changes params, the same in every trial" in said
    assert (
        "subject_to.1: params is 2.35e+05, and subject_to asks for params < 10; nothing that is searched changes"
        in said
    )


@pytest.mark.parametrize("quiet", [False, True])
def test_a_search_says_it_before_it_checks(quiet: bool, space: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--set", "subject_to=[recall > 0.5, mAP > 0.1]"]
    assert main(["tune", str(space), *wrong, *(["--quiet"] if quiet else [])]) == 2
    said = capsys.readouterr()
    start = "cells: 5 parameters, continuous; checking, trying one batch, starting Ray"
    assert said.out.splitlines() == ([] if quiet else [LR0, POWER, *OFFSETS, start])
    assert "subject_to.1: unknown metric 'mAP'" in said.err

"""`raytrainer train`: its settings as one types them, and what it says of a run that had finished."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from raytrainer.cli import main
from raytrainer.commands.settings_flags import setting_value, settings_changes
from raytrainer.commands.train import parser
from raytrainer.results.request import Change, request


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("class_weights", "RBC=1,Platelets=2.5", {"RBC": 1, "Platelets": 2.5}),
        ("class_weights", "1, 2.5,3", "[1, 2.5,3]"),
        ("class_weights", "inverse_frequency", "inverse_frequency"),
        ("class_weights", "{RBC: 1}", "{RBC: 1}"),
        ("freeze", "0,1,2", "[0,1,2]"),
        ("freeze", "backbone", "backbone"),
        ("fitness", "min(AP[a], AP[b])", "min(AP[a], AP[b])"),
        ("subject_to", "recall >= 0.5", ["recall >= 0.5"]),
        ("subject_to", "AP[a, b] > 0.4, min(recall, F1)>0.5", ["AP[a, b] > 0.4", "min(recall, F1)>0.5"]),
        ("subject_to", "['AP[a] > 0.4', recall > 0.5]", "['AP[a] > 0.4', recall > 0.5]"),
    ],
)
def test_values_as_one_types_them(name: str, text: str, value: object) -> None:
    assert setting_value(name, text) == value


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("--subject-to 'AP[Platelets] > 0.4'", ["AP[Platelets] > 0.4"]),
        ("--subject-to 'recall > 0.5'", ["recall > 0.5"]),
        ("--subject-to 'AP[Platelets] > 0.4, recall > 0.5'", ["AP[Platelets] > 0.4", "recall > 0.5"]),
        ("--subject-to 'AP[Platelets] > 0.4' --subject-to recall>0.5", ["AP[Platelets] > 0.4", "recall>0.5"]),
        ("--subject-to '[\"AP[Platelets] > 0.4\", recall > 0.5]'", ["AP[Platelets] > 0.4", "recall > 0.5"]),
    ],
)
def test_constraints_become_a_list(words: str, asked: list[str]) -> None:
    given = parser().parse_args(shlex.split(words))
    model, data = Change("model", "yolo11n.pt", "--model"), Change("data", "coco8.yaml", "--data")
    assert request(None, [model, data, *settings_changes(given)]).space.subject_to == asked


@pytest.mark.parametrize(("arguments", "classes"), [("single_cls=true", ["item"]), ("", ["RBC", "WBC", "Platelets"])])
def test_a_run_that_had_finished_is_told_by_class(
    arguments: str, classes: list[str], bccd: Path, yolo_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    quick = "--epochs 1 --device cpu --threads 1 imgsz=64 batch=4 workers=0 plots=false amp=false"
    line = shlex.split(f"train --model {yolo_tiny} --data {bccd} {quick} {arguments}")
    assert main(line) == 0
    capsys.readouterr()
    assert main(line) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("this run had finished before; nothing was trained")
    assert [row.split()[0] for row in said[1:-1]] == ["class", "all", *classes]

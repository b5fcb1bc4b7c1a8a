"""The command line: every misuse has its message and exit status 2, and nothing heavy is imported to find it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import raytrainer
from raytrainer.api import Outcome
from raytrainer.cli import VERBS, main
from raytrainer.commands import tune
from raytrainer.commands.settings_flags import flag
from raytrainer.config.layout import StudyFolder
from raytrainer.config.settings import Settings
from raytrainer.config.space import Budget, Float, Search, Space
from raytrainer.results.best import Best
from raytrainer.search.budget import Standing
from raytrainer.search.views import TrialView
from raytrainer.trainer.records import read_records

PROJECT = Path(__file__).resolve().parent.parent

MISUSE: list[tuple[str, str]] = [
    ("trian", "unknown verb 'trian', did you mean 'train'?"),
    ("--trials 3", "unknown verb '--trials'"),
    ("tune", "expected a space file, such as --space detr.yaml"),
    ("tune --space demo.yaml yolo.yaml", "expected one space file, got two"),
    ("tune --space dmo.yaml", "dmo.yaml: no such space file, did you mean 'demo.yaml'?"),
    ("tune --space demo.yaml --trails 3", "raytrainer tune: unknown flag --trails, did you mean '--trials'?"),
    ("tune --space demo.yaml --trial 3", "unknown flag --trial, did you mean '--trials'?"),
    ("tune --space demo.yaml --trials", "argument --trials: expected one argument"),
    ("tune --space demo.yaml --trials none", "--trials: search.trials: expected an integer"),
    ("tune --space demo.yaml --trials 0", "--trials: search.trials: expected an integer of at least 1 or null, got 0"),
    ("tune --space demo.yaml --gpus-per-trial -1", "--gpus-per-trial"),
    ("tune --space demo.yaml --epochs 1.5", "--epochs: train.epochs: expected an integer"),
    ("tune --space demo.yaml --set train.imgz=320", "train.imgz: unknown key, did you mean 'imgsz'?"),
    ("tune --space demo.yaml --set train.imgsz", "expected key.path=value"),
    ("tune --space demo.yaml --name a/b", "--name: name: "),
    ("check --space demo.yaml --data gone.yaml", "--data: data: no such dataset"),
    ("check demo.yaml --set space.lr0.low=1", "--set space.lr0.low=1: space.lr0.low: expected less than high"),
    ("check demo.yaml --quiet", "raytrainer check: unknown flag --quiet"),
    ("train", "model: is missing: write it in the file or give --model"),
    ("train gone.yaml", "gone.yaml: cannot be read: No such file or directory"),
    ("train a.yaml b.yaml", "expected one best.yaml, got a.yaml, b.yaml"),
    ("train yolo11n.pt", "a model is given as --model yolo11n.pt"),
    ("train --backbone-lr 0.1", "unknown flag --backbone-lr, did you mean '--backbone-lr-ratio'?"),
    ("train {model} --backbone-lr-ratio 0", "--backbone-lr-ratio: trainer.backbone_lr_ratio: expected a number"),
    ("train {model} --sync-bn maybe", "--sync-bn: trainer.sync_bn: expected true or false or 'auto', got 'maybe'"),
    ("train {model} --class-weights RBC=0", "--class-weights: trainer.class_weights: expected"),
    ("train {model} --class-weights Rbc=2", "the dataset has no class 'Rbc', did you mean 'RBC'?"),
    ("train {model} --class-weights 1,2", "has 2 weights, but the dataset has 3 classes: RBC, WBC, Platelets"),
    ("train {model} --fitness AP[Platelet]", "the dataset has no class 'Platelet', did you mean 'Platelets'?"),
    ("train {model} --fitness ' [mAP50, AP9]'", "--fitness: fitness.1: unknown metric 'AP9'"),
    ("train {model} --subject-to 'AP[Platelet] > 0.4'", "subject_to.0: the dataset has no class 'Platelet', did you"),
    ("train {model} --subject-to mAP50>1,recall", "subject_to.1: expected an expression, one of < <= > >=, and a"),
    ("train {model} --subject-to 'mAP50 > 0,'", "--subject-to: subject_to.1: expected an expression, one of < <= > >="),
    ("train {model} --unfreeze-epoch 200", "--unfreeze-epoch: trainer.unfreeze_epoch: expected less than train.epochs"),
    ("train {model} lr00=0.1", "lr00=0.1: train.lr00: unknown key, did you mean 'lr0'?"),
    ("train {model} lr0=big", "lr0=big: train.lr0: expected a number"),
    ("train {model} backbone_lr_ratio=0", "trainer.backbone_lr_ratio: expected a number above 0, got 0"),
    ("train {model} name=cells", "name=cells: name: is given as --name"),
    ("train {model} resume=true", "resume=true: resume: is not needed: the same command goes on"),
    ("train {model} train.time=1", "train.time=1: time: is not served: give --epochs"),
    ("train {model} --set lr0", "lr0: expected KEY=VALUE"),
    ("train {model} --device 0,1", "--device: a training outside a study runs on one device, not on 0,1"),
    ("train {model} --storage sqlite:///a.db", "--storage: expected a folder, got sqlite:///"),
    ("train {model} --storage redis://me:secret@host", "--storage: expected a folder, got redis://me@host"),
    ("train {model} --threads two", "argument --threads: invalid int value: 'two'"),
    ("status", "the following arguments are required: STUDY"),
    ("status gone", "there is no study 'gone' here or in runs/; runs/ holds no study"),
    ("status a b", "unexpected argument 'b'"),
    ("report gone", "there is no study 'gone'"),
    ("export gone --trial x", "argument --trial: invalid int value: 'x'"),
    ("export gone", "there is no study 'gone'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), MISUSE, ids=[line for line, _ in MISUSE])
def test_misuse(
    line: str,
    message: str,
    bccd: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYTRAINER_DEMO", str(tmp_path / "demo"))
    if " --space demo.yaml" in line or " demo.yaml" in line:  # the shipped one, without making the demo's model
        line += f" --model yolov8n.yaml{'' if '--data' in line else f' --data {bccd}'}"
    assert main(shlex.split(line.format(model=f"--model yolov8n.yaml --data {bccd}"))) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: raytrainer {verb} ")
    assert f"examples:\n  raytrainer {verb} " in said


def test_help_of_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {verb:8}" in said for verb in VERBS)
    assert main([]) == 2
    assert capsys.readouterr().out == said
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"raytrainer {raytrainer.__version__}\n"


def test_every_setting_has_a_flag_with_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert flag(name) in said
        assert field.description
        assert " ".join(field.description.replace("`", "").split()) in said


HEAVY = {"torch", "ray", "ultralytics", "optuna", "pandas", "sklearn", "scipy"}

LIGHT = """
import sys
from raytrainer.cli import main
status = main(sys.argv[2:])
found = set(sys.argv[1].split(",")) & sys.modules.keys()
sys.exit(f"imported {found}" if found else status)
"""


@pytest.mark.parametrize(
    ("line", "status"),
    [("--help", 0), ("tune --help", 0), ("train --help", 0), ("tune --space demo.yaml --data gone.yaml --check", 2),
     ("train --model yolov8n.yaml --data gone.yaml", 2), ("tune --space demo.yaml --set train.imgz=3", 2)],
)  # fmt: skip
def test_nothing_heavy_is_imported_before_the_static_checks_have_passed(line: str, status: int, tmp_path: Path) -> None:
    if "demo" in line:
        line += " --model yolov8n.yaml"
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, ",".join(HEAVY), *shlex.split(line)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, "imported" in done.stderr) == (status, False), done.stderr


def test_the_package_gives_its_names_when_they_are_asked_for() -> None:
    code = "import sys, raytrainer; assert not {'torch', 'ray', 'pydantic'} & sys.modules.keys(); raytrainer.Settings()"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    assert set(raytrainer.__all__) <= set(dir(raytrainer))
    assert raytrainer.compose.__module__ == "raytrainer.trainer.compose"
    assert raytrainer.Settings is Settings
    with pytest.raises(AttributeError, match="no attribute 'tun'"):
        raytrainer.tun  # noqa: B018


@pytest.mark.parametrize("program", [["tune.py"], ["-m", "raytrainer.cli", "tune"]], ids=["tune.py", "raytrainer"])
def test_two_ways_to_tune(program: list[str], tmp_path: Path) -> None:
    program = [str(PROJECT / part) if part.endswith(".py") else part for part in program]
    done = subprocess.run(
        [sys.executable, *program, "--space", "gone.yaml"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("gone.yaml: no such space file")


def outcome(tmp_path: Path, *, interrupted: bool) -> Outcome:
    space = Space(
        model="m",
        data="d",
        space={"lr0": Float(low=0.1, high=1.0)},
        name="cells",
        storage=str(tmp_path / "runs"),
        search=Search(budget=Budget(wall=1e-9)),
    )
    folder = StudyFolder(tmp_path / "runs" / "cells")
    folder.path.mkdir(parents=True)
    folder.space.write_text(space.to_yaml())
    view = TrialView(0, "complete", {"lr0": 0.1}, {1: 0.25}, 0.25, 1)
    best = Best(view, view, folder.best / "best.yaml", folder.best / "best.pt")
    return Outcome(space=space, folder=folder, trials=[view], best=best, interrupted=interrupted)


@pytest.mark.parametrize("quiet", [True, False])
@pytest.mark.parametrize("interrupted", [True, False])
def test_the_end_of_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool, interrupted: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tune._conclude(outcome(tmp_path, interrupted=interrupted), quiet) == (130 if interrupted else 0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (1 if quiet else 3 if interrupted else 2)
    assert quiet or lines[0].endswith(" on disk")
    end = (
        "Go on: raytrainer tune --space runs/cells/space.yaml"
        if interrupted
        else "raytrainer train runs/cells/best/best.yaml"
    )
    assert lines[-1].endswith(end + " --quiet" * (quiet and interrupted))


@pytest.mark.parametrize(
    ("interrupted", "told"),
    [
        (True, "Stopped before the first trial. The same command begins the study"),
        (False, "No trial was begun, and nothing was written"),
    ],
)
def test_a_start_without_a_trial_names_no_file_of_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupted: bool, told: str
) -> None:
    """It has removed what it made, so that no other command goes on."""
    spent = Standing(spent="its hours", left=0.0)
    began = replace(outcome(tmp_path, interrupted=interrupted), trials=[], best=None, standing=spent)
    began.folder.space.unlink()
    assert tune._conclude(began, quiet=False) == (130 if interrupted else 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == told
    assert not any("space.yaml" in line for line in lines)
    assert any(": the same command" in line for line in lines) is not interrupted


def test_a_study_in_which_everything_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    reasons = ["out of memory", "KeyError: 'x'", "out of memory"]
    trials = [TrialView(number, "failed", {}, reason=reason) for number, reason in enumerate(reasons)]
    ended = replace(outcome(tmp_path, interrupted=False), best=None, trials=trials)
    assert tune._conclude(ended, quiet=True) == 1
    assert capsys.readouterr().out == (
        "No trial has a fitness: 3 of 3 trials failed, most often: out of memory. Their logs are in runs/cells/trials\n"
    )


LATE = "latency_ms is 9, and subject_to asks for latency_ms < 8"
NEVER = f"{LATE}; nothing that is searched changes latency_ms"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (None, "No trial has a fitness: 1 of 3 trials failed, 2 were ended before their first epoch, "
         f"most often: {LATE}. Their logs are in runs/cells/trials\n"),
        (NEVER, f"Stopped: no trial is trained: {NEVER}. Change subject_to, under another --name\n"),
        ("KeyError: 'x'", "Stopped: every trial fails with KeyError: 'x'. The same command goes on, once that is "
         "mended; logs: runs/cells/trials\n"),
    ],
)  # fmt: skip
def test_a_study_in_which_no_architecture_keeps_the_constraints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: str | None, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = TrialView(0, "failed", {}, reason="KeyError: 'x'")
    trials = [failed, *(TrialView(number, "pruned", {}, reason=LATE) for number in (1, 2))]
    ended = replace(outcome(tmp_path, interrupted=False), best=None, trials=trials, broken=broken)
    assert tune._conclude(ended, quiet=True) == 1
    assert capsys.readouterr().out == told


def test_a_training_that_is_interrupted_goes_on(tmp_path: Path, bccd: Path, rtdetr_tiny: Path) -> None:
    """Ctrl-C in a real terminal: status 130, what to do is said, and the same command finishes the run."""
    flags = "--epochs 20 --name cells --threads 1 --device cpu imgsz=64 batch=4 workers=0 plots=false amp=false"
    files = ["--model", str(rtdetr_tiny), "--data", str(bccd)]
    command = [sys.executable, "-m", "raytrainer.cli", "train", *files, *flags.split()]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    records = tmp_path / "runs" / "train" / "cells" / "records.jsonl"
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (records.exists() and records.read_text()) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 130, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    begun = read_records(records)

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [record.epoch for record in read_records(records)] == list(range(1, 21))
    assert read_records(records)[: len(begun)] == begun
    assert done.stdout.splitlines()[-1].endswith("Weights: runs/train/cells/weights/best.pt")

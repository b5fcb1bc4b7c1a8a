"""A study read from its files: status, report, export, data frame."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from raytrainer.cli import main
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.storage import Storage
from raytrainer.results.best_file import BestFile
from raytrainer.results.disk_use import disk_use, size
from raytrainer.results.frame import frame
from raytrainer.results.importance import FEWEST, correlations
from raytrainer.results.report import report
from raytrainer.results.saved import SavedStudy, driver_of, find_study, read_study
from raytrainer.results.status import Status, activity, continuing
from raytrainer.results.tally import duration
from raytrainer.search.study import Study
from raytrainer.trainer.records import read_records

from .trials import trial

HOLD = "import sys; from raytrainer.search.lock import DriverLock; from pathlib import Path;" \
       "lock = DriverLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"  # fmt: skip


@pytest.fixture
def study(trained_study: StudyFolder) -> SavedStudy:
    return read_study(str(trained_study.path))


def test_found_by_folder_and_by_name(
    trained_study: StudyFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    storage = trained_study.path.parent
    assert find_study(str(trained_study.path)) == trained_study.path
    assert find_study("cells", str(storage)) == trained_study.path
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no study 'cels' here or in .*did you mean 'cells'"):
        find_study("cels", str(storage))
    with pytest.raises(UserError, match="runs/ holds no study"):
        find_study("cells")


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Another process that drives the study in a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield tmp_path, process
    process.kill()
    process.wait()


def test_a_living_driver_is_seen_and_not_disturbed(driver: tuple[Path, subprocess.Popen[str]]) -> None:
    folder, process = driver
    for _ in range(3):
        assert (driver_of(StudyFolder(folder)) or "").startswith(f"process {process.pid} on ")
    process.kill()
    process.wait()
    assert driver_of(StudyFolder(folder)) is None


def test_no_driver(study: SavedStudy, tmp_path: Path) -> None:
    assert study.driver is None
    assert driver_of(StudyFolder(tmp_path)) is None


def test_reading_a_study_while_its_driver_writes_it(trained_study: StudyFolder, tmp_path: Path) -> None:
    """What the driver has said so far is read from outside, and it goes on unharmed."""
    folder = StudyFolder(tmp_path / "runs" / "cells")
    space = load_space(trained_study.space, flags={"storage": str(tmp_path / "runs")})
    with Study.open(folder.path, space) as driving:
        folder.space.write_text(space.to_yaml())
        handle = driving.ask()
        assert handle is not None
        driving.report(handle.number, 1, 0.25)
        seen = read_study(str(folder.path))
        assert [(view.state, view.best_fitness) for view in seen.trials] == [("running", 0.25)]
        assert seen.driver is not None
        assert activity(seen).endswith("is running it")
        driving.report(handle.number, 2, 0.5)
        driving.finish(handle.number, "complete")
    after = read_study(str(folder.path))
    assert [(view.state, view.best_fitness) for view in after.trials] == [("complete", 0.5)]
    assert activity(after).startswith("nobody is running it. Go on: raytrainer tune --space ")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_status_is_the_live_table_and_who_drives(study: SavedStudy, width: int) -> None:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(Status(study))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[0].startswith("cells  fitness 0.9*mAP50-95")
    assert "0 interrupted  2 complete  0 pruned  0 failed  0 waiting" in lines
    assert lines[-1] == "all trials have ended"
    assert lines[-2] == f"{size(disk_use(study.folder.path))} on disk"
    assert max(map(len, lines)) <= width


def test_how_to_go_on_names_the_folder_if_it_was_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "runs" / "cells"
    assert continuing(here, here / "space.yaml", Storage(), "cells") == "raytrainer tune --space runs/cells/space.yaml"
    there = tmp_path / "old" / "cells"
    assert continuing(there, there / "space.yaml", Storage(), "cells") == (
        "raytrainer tune --space old/cells/space.yaml --storage old --name cells"
    )


def many(study: SavedStudy) -> SavedStudy:
    """The study with 14 made-up trials in place of its own: twelve complete, better the higher lr0, and two failed."""
    made = [
        trial(n, curve=(0.01 * n,), params={"lr0": 0.001 * n, "weight": float(n % 3), "optimizer": "AdamW"})
        for n in range(12)
    ]
    failed = [trial(n, "failed", reason="out of memory: 3 | 4 GB") for n in (12, 13)]
    return replace(study, trials=[*made, *failed])


def test_report(study: SavedStudy) -> None:
    text = report(many(study))
    assert text.startswith("# Study cells\n")
    assert "Best fitness 0.1100 (trial 11, epoch 1); +0.1100 over the defaults' 0.0000; one seed each" in text
    assert "| 11    | complete | 0.1100  |" in text
    assert "| 2     | out of memory: 3 \\| 4 GB | 12, 13 |" in text
    assert "| lr0       | +1.00       | 12     | 0.59               |" in text
    assert "| lr0                 | float log | 0.0001 to 0.01 | 0.002   |           |" in text
    seconds = sum(r.epoch_seconds for n in (0, 1) for r in read_records(study.folder.trial(n) / "records.jsonl"))
    assert f"- {duration(seconds)} of training, all trials added up" in text
    assert "- 12 epochs, of 28 without early stopping" in text
    assert "raytrainer train " in text
    assert "By class" not in text, "trial 11 has no records"
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_report_by_class(study: SavedStudy) -> None:
    record = read_records(study.folder.trial(0) / "records.jsonl")[0]
    lines = report(replace(study, trials=[trial(0, curve=(0.1,)), trial(1, curve=(0.2, 0.1))])).splitlines()
    start = lines.index("## By class")
    assert [cell.strip() for cell in lines[start + 2].split("|")[1:-1]] == [
        "class", "AP best", "AP defaults", "F1 best", "F1 defaults",
    ]  # fmt: skip
    rows = {line.split("|")[1].strip(): line.split("|")[3].strip() for line in lines[start + 4 : start + 7]}
    assert rows == {name: f"{record.metrics[f'AP[{name}]']:.4f}" for name in ("RBC", "WBC", "Platelets")}


def test_report_of_a_study_that_has_only_begun(study: SavedStudy) -> None:
    text = report(replace(study, trials=[]))
    assert "No trial has a fitness yet." in text
    assert "- no epochs yet" in text
    assert "Failures" not in text


def test_rank_correlation_is_spearmans_and_says_how_much_is_chance() -> None:
    """Against scipy, and silent about what it cannot know: few trials, choices, constants, stopped trials."""
    stats = pytest.importorskip("scipy.stats")
    fitness = [0.3, 0.1, 0.4, 0.1, 0.5, 0.9, 0.2, 0.6, 0.5, 0.35, 0.8, 0.7]
    lr0 = [3.0, 1.0, 2.0, 2.0, 9.0, 8.0, 1.5, 5.0, 5.0, 4.0, 7.0, 6.5]
    params = [{"lr0": x, "optimizer": "SGD", "flag": True, "same": 1.0} for x in lr0]
    views = [trial(n, curve=(f,), params=p) for n, (f, p) in enumerate(zip(fitness, params, strict=True))]
    (found,) = correlations([*views, trial(99, "pruned", (5.0,), params=params[0])])
    assert (found.parameter, found.n) == ("lr0", 12)
    assert found.rho == pytest.approx(stats.spearmanr(lr0, fitness).statistic)
    assert found.chance == pytest.approx(0.591, abs=1e-3)
    assert correlations(views[: FEWEST - 1]) == []


def test_frame(study: SavedStudy) -> None:
    table = frame(study.folder, [trial(1, "failed", reason="x", params={"freeze": 3}), *study.trials[:1]])
    assert list(table.index) == [0, 1]
    assert table.index.name == "number"
    assert list(table.columns[:7]) == ["state", "fitness", "best_epoch", "epochs", "started", "ended", "reason"]
    assert table.loc[0, "params_lr0"] == 0.002
    assert pd.isna(table.loc[1, "params_lr0"])
    assert (table.loc[1, "params_freeze"], table.loc[1, "reason"]) == (3, "x")
    assert frame(study.folder, []).empty


@pytest.fixture
def copied(trained_study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the study as `runs/cells` of the working folder."""
    shutil.copytree(trained_study.path, tmp_path / "runs" / "cells")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "cells"


def test_the_verbs_on_a_study(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "cells"]) == 0
    told = capsys.readouterr().out
    assert "2 complete" in told
    assert not any(line.endswith(" ") for line in told.splitlines())
    assert main(["report", "cells"]) == 0
    printed = capsys.readouterr().out
    assert main(["report", "cells", "--to", "out/report.md"]) == 0
    assert capsys.readouterr().out == "wrote out/report.md\n"
    assert Path("out/report.md").read_text() == printed
    shutil.rmtree(copied / "best")
    assert main(["export", "cells"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "wrote runs/cells/best/best.pt and runs/cells/best/best.yaml"


@pytest.mark.parametrize("verb", ["status", "report"])
def test_a_damaged_record_stops_no_verb(copied: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "trials" / "0000" / "records.jsonl").write_text("garbled\n")
    assert main([verb, "cells"]) == 0
    assert "0.9*mAP50-95" in capsys.readouterr().out


def test_a_study_without_its_trials_and_one_that_may_not_be_read(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "study.journal").rename("aside")
    assert main(["status", "cells", "--storage", ""]) == 2
    assert capsys.readouterr().err.startswith("runs/cells: has a space.yaml, but no study.journal, which holds")
    Path("aside").rename(copied / "study.journal")
    (copied / "study.journal").chmod(0)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        assert main(["status", "cells"]) == 2
    finally:
        os.seteuid(user)
    assert capsys.readouterr().err.endswith("cells/study.journal: cannot be read: Permission denied\n")


def test_export_of_any_trial(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "cells", "--trial", "1"]) == 0
    assert BestFile.read(copied / "trials" / "0001" / "export" / "best.yaml").study.trial == 1
    assert main(["export", "cells", "--trial", "1", "--to", "there"]) == 0
    assert Path("there/best.pt").is_file()
    shutil.rmtree(copied / "trials" / "0001" / "weights")
    assert main(["export", "cells", "--trial", "1", "--to", "elsewhere"]) == 0
    said = capsys.readouterr().out
    assert "trial 1 has no weights any more (keep: best); wrote elsewhere/best.yaml" in said
    assert "Retrain it: raytrainer train elsewhere/best.yaml" in said
    assert main(["export", "cells", "--trial", "7"]) == 2
    assert "study cells has no trial 7: it has 2, numbered from 0" in capsys.readouterr().err

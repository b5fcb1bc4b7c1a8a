"""What trials have taken, told from what their processes wrote down."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from raytrainer.config.layout import StudyFolder
from raytrainer.results.cost import Cost, cost, cost_of, hours, told
from raytrainer.results.frame import frame
from raytrainer.results.report import report
from raytrainer.results.saved import read_study
from raytrainer.results.status import Status
from raytrainer.trainer.holdings import Holder, Holding, read_holdings
from raytrainer.trainer.records import EpochRecord, append_record

from .trials import trial

LINE = '{{"stretch": "{}", "cpus": {}, "gpus": {}, "seconds": {}}}\n'


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """Trial 0 was begun on a quarter of a GPU and went on with a half; trial 1 was never held."""
    folder = StudyFolder(tmp_path)
    folder.trial(0).mkdir(parents=True)
    lines = [("a", 2, 0.25, 600), ("a", 2, 0.25, 1800), ("b", 4, 0.5, 900), ("b", 4, 0.5, 3600)]
    torn = LINE.format("b", 4, 0.5, 7200)[:-9]
    folder.holdings(0).write_text("".join(LINE.format(*line) for line in lines) + torn)
    for epoch in (1, 2, 3):
        append_record(folder.records(0), EpochRecord(epoch, 0.1, 0.1, 1, epoch_seconds=1350))
    return folder


def test_the_last_line_of_every_stretch_counts(folder: StudyFolder) -> None:
    assert read_holdings(folder.holdings(0)) == [Holding("a", 2, 0.25, 1800), Holding("b", 4, 0.5, 3600)]
    assert read_holdings(folder.holdings(1)) == []
    taken = cost(folder, 0)
    assert taken == Cost(cpu_hours=1 + 4, gpu_hours=0.125 + 0.5, held=5400, trained=4050)
    assert taken.share == 0.75
    assert cost_of(folder, [0, 1]) == taken
    assert cost(folder, 1).share is None


def test_a_line_after_a_torn_one_counts(folder: StudyFolder) -> None:
    with folder.holdings(0).open("a") as file:
        file.write("\n" + LINE.format("c", 1, 0, 60))
    assert [each.stretch for each in read_holdings(folder.holdings(0))] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "line",
    [
        *("text", "\0\udcff\r", "[1, 2]", "3", '{"epoch": 1}'),
        EpochRecord(4, 0.1, 0.1, 1, metrics={"mAP50": 0.125}).to_json().replace("0.125", '"a"'),
        EpochRecord(4, 0.1, 0.1, 1).to_json().replace('"epoch": 4', '"epoch": null'),
    ],
)
def test_a_damaged_record_is_passed_over_with_one_warning(
    folder: StudyFolder, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    with folder.records(0).open("a", errors="surrogateescape") as file:
        file.write(line + "\n")
    append_record(folder.records(0), EpochRecord(5, 0.1, 0.1, 1, epoch_seconds=50))
    assert [cost(folder, 0).trained for _ in range(2)] == [4100, 4100]
    (told,) = caplog.messages
    assert told == f"{folder.records(0)}:4: is no record of an epoch any more, and is passed over"


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (Cost(), None),
        (Cost(0.0123, 0, 44.28, 40), "0.0123 CPU-hours held by trials, 90 % of the time in training"),
        (Cost(1234.4, 100.5, 10, 99), "100 GPU-hours and 1234 CPU-hours held by trials, 100 % of the time in training"),
    ],
)
def test_in_words(cost: Cost, text: str | None) -> None:
    assert told(cost) == text


def test_hours() -> None:
    assert [hours(count) for count in (0, 0.001234, 4.567, 99.96, 678.9)] == ["0", "0.00123", "4.57", "100", "679"]


def test_a_disk_that_takes_nothing_ends_no_trial(tmp_path: Path) -> None:
    holder = Holder(tmp_path / "gone" / "holdings.jsonl", 1, 0, 0.0)
    holder.still()
    (tmp_path / "gone").mkdir()
    holder.still()
    holder.still()
    (holding,) = read_holdings(tmp_path / "gone" / "holdings.jsonl")
    assert (holding.cpus, holding.gpus) == (1, 0)


def test_where_it_is_shown(folder: StudyFolder, trained_study: StudyFolder) -> None:
    trials = [trial(0, curve=(0.1, 0.2, 0.3)), trial(1, "failed", reason="x")]
    study = replace(read_study(str(trained_study.path)), folder=folder, trials=trials)
    line = "0.625 GPU-hours and 5 CPU-hours held by trials, 75 % of the time in training"
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Status(study))
    assert line in console.export_text()
    text = report(study)
    assert f"- {line}\n" in text
    assert "| trial        | state    | fitness | best epoch | epochs | GPU-hours | CPU-hours |" in text
    assert "| 0 (defaults) | complete | 0.3000  | 3          | 3      | 0.625     | 5         |" in text
    table = frame(folder, trials)
    assert list(table.loc[0, ["gpu_hours", "cpu_hours", "trained"]]) == [0.625, 5.0, 0.75]
    assert list(table["cpu_hours"]) == [5.0, 0.0]
    assert table["trained"].isna().tolist() == [False, True]

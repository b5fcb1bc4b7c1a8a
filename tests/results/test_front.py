"""The front as it is shown: as a table, on lines, in a data frame; and whose weights stay."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from raytrainer.config.layout import StudyFolder
from raytrainer.results.frame import frame
from raytrainer.results.front_table import defaults_told, front_table
from raytrainer.results.keep import sweep
from raytrainer.results.lines import PlainLines
from raytrainer.results.live import Asked, LiveView
from raytrainer.search.views import State, TrialView

from .test_keep import fill, left
from .trials import trial

GOAL = ["mAP50", "-params"]
ASKED = Asked("cells", GOAL, trials=16, epochs=1)


def view(number: int, fitness: float, other: float, state: State = "complete", **params: object) -> TrialView:
    given = {"lr0": 0.01, "imgsz": 64, **params}
    return trial(number, state, (fitness,), others={1: [other]}, params=given)


STUDY = [
    view(0, 0.5, -3e6),
    view(1, 0.7, -2e6, imgsz=96),
    view(2, 0.1, -1e6),
    view(3, 0.9, -9e6, lr0=0.03),
    view(4, 0.95, -9.5e6, "pruned"),
    view(5, 0.6, -2.5e6),
]


def test_the_table_has_the_objectives_and_what_differs() -> None:
    assert front_table(STUDY, GOAL) == (
        ["trial", "mAP50", "-params", "lr0", "imgsz"],
        [
            ["3", "0.9", "-9e+06", "0.03", "64"],
            ["1", "0.7", "-2e+06", "0.01", "96"],
            ["2", "0.1", "-1e+06", "0.01", "64"],
        ],
    )
    assert front_table(STUDY[:1], GOAL)[1] == [["0 (defaults)", "0.5", "-3e+06", "0.01", "64"]]
    assert front_table([], GOAL) == (["trial", *GOAL], [])


@pytest.mark.parametrize(
    ("views", "told"),
    [
        (STUDY, "the defaults are dominated by trial 1"),
        ([*STUDY, view(6, 0.65, -1.5e6)], "the defaults are dominated by trials 1, 6"),
        ([STUDY[0], STUDY[2]], "the defaults are on it"),
        ([view(0, 0.5, -3e6, "pruned"), STUDY[2]], "the defaults are not on it"),
        ([view(0, 0.5, -3e6, "failed")], ""),
        ([], ""),
    ],
)
def test_how_the_defaults_stand_to_it(views: list[TrialView], told: str) -> None:
    assert defaults_told(views) == told


def test_the_live_table_shows_it() -> None:
    console = Console(width=90, record=True, file=io.StringIO())
    console.print(LiveView(STUDY, ASKED))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    place = lines.index("front 3 trials, the defaults are dominated by trial 1")
    assert lines[place + 1].split() == ["trial", "mAP50", "-params", "lr0", "imgsz"]
    assert [line.split()[0] for line in lines[place + 2 : place + 5]] == ["3", "1", "2"]
    many = Console(width=90, record=True, file=io.StringIO())
    many.print(LiveView([view(n, n, -n) for n in range(20)], ASKED))
    assert "and 12 more" in many.export_text()


def test_a_plain_line_for_each_new_front() -> None:
    out = io.StringIO()
    lines = PlainLines(ASKED, Console(file=out), STUDY[:1])
    for count in (2, 3, 5):
        lines.show(STUDY[:count])
    told = out.getvalue().splitlines()
    assert told[0].endswith("fitness mAP50, -params")
    assert told[1].endswith("mAP50 0.7, -params -2e+06 (epoch 1)  lr0=0.01 imgsz=96")
    assert [line for line in told if "on the front" in line] == [
        "1 trial on the front, new: trial 1 (mAP50 0.7, -params -2e+06)",
        "2 trials on the front, new: trial 2 (mAP50 0.1, -params -1e+06)",
        "3 trials on the front, new: trial 3 (mAP50 0.9, -params -9e+06)",
    ]


def test_its_weights_stay_as_long_as_a_trial_is_on_it(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    fill(folder, STUDY)
    sweep(folder, STUDY[:3], "best")
    assert left(folder, STUDY[:3]) == {1: "b", 2: "b"}
    sweep(folder, STUDY, "best")
    assert left(folder, STUDY) == {1: "b", 2: "b", 3: "b"}


def test_the_frame_has_a_column_for_each_objective(tmp_path: Path) -> None:
    rows = frame(StudyFolder(tmp_path), STUDY, (), GOAL)
    assert list(rows["objective_-params"]) == [-3e6, -2e6, -1e6, -9e6, -9.5e6, -2.5e6]
    assert list(rows["objective_mAP50"]) == list(rows["fitness"])
    assert list(rows.index[rows["on_front"]]) == [1, 2, 3]
    assert not {"on_front", "objective_mAP50"} & {*frame(StudyFolder(tmp_path), STUDY, (), ["mAP50"]).columns}

"""What the terminal shows, at the widths that terminals have, and that it never harms the study."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from raytrainer.results.lines import PlainLines, ending
from raytrainer.results.live import MOST_ROWS, Asked, LiveView
from raytrainer.results.progress import LiveTable, Progress
from raytrainer.results.tally import UNBOUNDED, Pace
from raytrainer.search.views import TrialView

from .trials import trial

ASKED = Asked("cells", ["0.9*mAP50-95 + 0.1*mAP50"], trials=16, epochs=8)
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
PARAMS = {"lr0": 0.0012345, "optimizer": "AdamW", "backbone_lr_ratio": 0.1, "class_weights.Platelets": 2.5}
STUDY = [
    trial(0, curve=(0.05, 0.1, 0.15, 0.18, 0.19, 0.195, 0.198, 0.1), params=PARAMS),
    trial(1, "pruned", (0.01, 0.02, 0.03), params=PARAMS),
    trial(2, "failed", (0.02,), reason="out of memory", params=PARAMS),
    trial(3, curve=(0.1, 0.2, 0.21, 0.22, 0.23, 0.2312, 0.23, 0.22), params=PARAMS),
    trial(4, "running", (0.1, 0.15, 0.17), params=PARAMS),
    trial(5, "running", params=PARAMS),
]


def drawn(view: LiveView, width: int) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(view)
    return [line.rstrip() for line in console.export_text().splitlines()]


def paced(seconds: float) -> Pace:
    """A pace whose driver began `seconds` ago, when the study had no epochs."""
    now = [0.0]
    pace = Pace(lambda: now[0])
    drawn(LiveView([], ASKED, pace), 80)
    now[0] = seconds
    return pace


@pytest.mark.parametrize("width", [60, 80, 120])
def test_live_table(width: int) -> None:
    lines = drawn(LiveView(STUDY, ASKED, paced(230), disk=12_300_000), width)
    assert lines[0] == "cells  fitness 0.9*mAP50-95 + 0.1*mAP50"
    assert lines[1] == "2 running  2 complete  1 pruned  1 failed  10 waiting"
    assert lines[2] == "trial 2 failed: out of memory"
    assert lines[3] == "best 0.2312  trial 3, epoch 6"
    assert lines[4] == "     +0.0332 (+16.8 %) against the defaults' 0.1980"
    assert lines[5].startswith("     lr0=0.001234 optimizer=AdamW backbone_lr_ratio=0.1")
    assert any(line.startswith("━") and line.endswith("  23 %") for line in lines)
    assert "23 of about 98 epochs, 3 min 50 s gone, about 12 min left" in lines
    assert "12.3 MB on disk" in lines
    assert lines[-3].split() == ["trial", "epoch", "fitness", "parameters"]
    assert lines[-2].split()[:4] == ["4", "3/8", "0.1700", "lr0=0.001234"]
    assert lines[-1].split()[:4] == ["5", "0/8", "-", "lr0=0.001234"]
    assert max(map(len, lines)) <= width


OTHER_MOMENTS: list[tuple[str, list[TrialView], str]] = [
    ("before the first trial", [], "no fitness yet"),
    ("the defaults lead", [trial(0, curve=(0.2,))], "these are the defaults"),
    ("the defaults failed", [trial(0, "failed"), trial(1, curve=(0.2,))], "the defaults have no fitness yet"),
    ("the defaults still run", [trial(0, "running", (0.1,)), trial(1, curve=(0.2,))], "the defaults' 0.1000 so far"),
    ("all done", [trial(n, curve=(0.2,) * 8) for n in range(16)], "128 epochs, 0 s gone"),
    ("more trials than a screen", [trial(n, "running") for n in range(11)], f"and {11 - MOST_ROWS} more"),
]


@pytest.mark.parametrize(
    ("views", "text"), [case[1:] for case in OTHER_MOMENTS], ids=[case[0] for case in OTHER_MOMENTS]
)
def test_other_moments(views: list[TrialView], text: str) -> None:
    shown = "\n".join(drawn(LiveView(views, ASKED, Pace(lambda: 0.0)), 80))
    assert text in shown
    assert " left" not in shown


def test_no_times_for_a_study_that_nobody_runs() -> None:
    assert "23 of about 98 epochs" in drawn(LiveView(STUDY, ASKED), 80)


def plain(*moments: list[TrialView], before: Sequence[TrialView] = ()) -> list[str]:
    out = io.StringIO()
    lines = PlainLines(ASKED, Console(file=out, width=40), before)
    for views in moments:
        lines.show(views)
    return out.getvalue().splitlines()


def test_a_plain_line_for_each_trial_that_ends_and_for_each_new_best() -> None:
    assert plain(STUDY[:1], STUDY[:1], STUDY, STUDY) == [
        "cells: 16 trials of 8 epochs, fitness 0.9*mAP50-95 + 0.1*mAP50",
        "trial 0 complete after 8 of 8 epochs in 8 min 00 s: fitness 0.1980 (epoch 7)"
        "  lr0=0.001234 optimizer=AdamW backbone_lr_ratio=0.1 class_weights.Platelets=2.5",
        "new best 0.1980 (trial 0)",
        "trial 1 pruned after 3 of 8 epochs in 3 min 00 s: fitness 0.0300 (epoch 3)"
        "  lr0=0.001234 optimizer=AdamW backbone_lr_ratio=0.1 class_weights.Platelets=2.5",
        "trial 2 failed after 1 of 8 epochs in 1 min 00 s: out of memory",
        "trial 3 complete after 8 of 8 epochs in 8 min 00 s: fitness 0.2312 (epoch 6)"
        "  lr0=0.001234 optimizer=AdamW backbone_lr_ratio=0.1 class_weights.Platelets=2.5",
        "new best 0.2312 (trial 3), +0.0332 (+16.8 %) against the defaults' 0.1980",
    ]


def test_a_study_that_goes_on_does_not_tell_again() -> None:
    lines = plain(STUDY, before=STUDY)
    assert lines == ["cells: 16 trials of 8 epochs, 4 of them ended before, fitness 0.9*mAP50-95 + 0.1*mAP50"]


def test_no_time_for_a_trial_that_waited_meanwhile() -> None:
    """For a driver, or for others: it was trained for less than went by."""
    began = replace(STUDY[0], state="running", ended=None)
    paused = replace(STUDY[3], notes={"promoted": 2})
    told = plain([STUDY[0], paused], before=[began])
    assert [line.partition(":")[0] for line in told[1:3]] == [
        "trial 0 complete after 8 of 8 epochs", "trial 3 complete after 8 of 8 epochs",
    ]  # fmt: skip


def test_a_table_that_is_left_tells_nothing_of_the_disk() -> None:
    """Its size is told once best.pt is written."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80, record=True)
    table = LiveTable(ASKED, console, paced(230), lambda: UNBOUNDED, lambda: 12_300_000)
    table.show(STUDY)
    table.close()
    while_it_ran, *_, at_the_end = console.export_text().split("cells  fitness")[1:]
    assert ("12.3 MB on disk" in while_it_ran, "on disk" in at_the_end) == (True, False)


def test_one_is_not_several() -> None:
    asked = replace(ASKED, trials=1, epochs=1)
    assert str(asked) == "1 trial of 1 epoch"
    assert "after 1 of 1 epoch in 1 min 00 s: out of memory" in ending(STUDY[2], asked)


def test_brackets_in_a_reason_are_no_markup() -> None:
    assert plain([trial(0, "failed", reason="KeyError: [red]")])[-1].endswith(": KeyError: [red]")


class Study:
    """Gives the next of several moments each time it is asked, the last one for ever; counts how often."""

    def __init__(self, *moments: Sequence[TrialView] | Exception) -> None:
        self.moments, self.asked, self.enough = moments, 0, threading.Event()

    def __call__(self) -> Sequence[TrialView]:
        moment = self.moments[min(self.asked, len(self.moments) - 1)]
        self.asked += 1
        if self.asked > len(self.moments):
            self.enough.set()
        if isinstance(moment, Exception):
            raise moment
        return moment


def console(terminal: bool) -> tuple[Console, Callable[[], str]]:
    out = io.StringIO()
    made = Console(
        file=out, force_terminal=terminal, width=80, _environ={"TERM": "xterm-256color" if terminal else "dumb"}
    )
    return made, out.getvalue


@pytest.mark.parametrize("terminal", [True, False])
def test_shows_the_end_of_the_study_even_if_it_comes_at_once(terminal: bool) -> None:
    screen, text = console(terminal)
    with Progress(Study([], STUDY), ASKED, console=screen) as progress:
        progress.say("stopping after this epoch")
    assert "stopping after this epoch" in text()
    assert "0.2312" in text()
    assert ("\x1b[" in text()) is terminal


def test_draws_again_and_again_without_being_told() -> None:
    screen, text = console(terminal=False)
    study = Study([], STUDY[:1], STUDY)
    with Progress(study, ASKED, console=screen):
        assert study.enough.wait(30)
        assert "new best 0.2312" in text()


def test_at_most_two_draws_a_second() -> None:
    screen, _ = console(terminal=True)
    study = Study(STUDY)
    began = time.monotonic()
    with Progress(study, ASKED, console=screen):
        assert study.enough.wait(30)
        threading.Event().wait(1.2)
    assert study.asked <= 2 * (time.monotonic() - began) + 2


def test_quiet_shows_nothing_and_asks_nothing() -> None:
    screen, text = console(terminal=True)
    study = Study(STUDY)
    with Progress(study, ASKED, quiet=True, console=screen) as progress:
        progress.say("hello")
    assert (text(), study.asked) == ("", 0)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "moments", [(RuntimeError("journal"),), ([], RuntimeError("journal"))], ids=["at once", "later"]
)
def test_a_failure_to_draw_is_logged_once_and_ends_nothing(
    terminal: bool, moments: tuple[Sequence[TrialView] | Exception, ...], caplog: pytest.LogCaptureFixture
) -> None:
    screen, text = console(terminal)
    with caplog.at_level(logging.ERROR), Progress(Study(*moments), ASKED, console=screen) as progress:
        threading.Event().wait(1.2)
        progress.say("the study goes on")
    assert [record.message for record in caplog.records] == [
        "the progress display failed and is off from here on; the study goes on"
    ]
    assert text().count(HIDE_CURSOR) == text().count(SHOW_CURSOR) == int(terminal)


def test_stopping_twice_draws_nothing_more() -> None:
    screen, text = console(terminal=True)
    progress = Progress(Study(STUDY), ASKED, console=screen)
    progress.start()
    progress.stop()
    shown = text()
    progress.stop()
    assert text() == shown
    assert "0.2312" in shown

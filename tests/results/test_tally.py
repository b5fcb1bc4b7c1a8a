"""Counts, epochs to come, time left."""

from __future__ import annotations

import pytest

from raytrainer.results.tally import Pace, Tally, duration, tally
from raytrainer.search.views import TrialView

from .trials import trial

FULL = (0.1,) * 8
EPOCH_CASES: list[tuple[str, list[TrialView], int, int, int]] = [
    ("nothing yet: all at full length", [], 4, 0, 32),
    ("one whole trial", [trial(0, curve=FULL)], 4, 8, 32),
    ("stopped trials shorten what is expected", [trial(0, curve=FULL), trial(1, "pruned", (0.1,) * 2)], 4, 10, 20),
    ("failed ones do not", [trial(0, curve=FULL), trial(1, "failed", (0.1,))], 4, 9, 25),
    ("a running trial goes further than those it has passed",
     [trial(0, "pruned", (0.1,) * 2), trial(1, "running", FULL[:2])], 2, 4, 10),
    ("past them all: to its end", [trial(0, "pruned", (0.1,)), trial(1, "running", FULL[:4])], 2, 5, 9),
    ("more trials than asked for, after a smaller --trials", [trial(0, curve=FULL), trial(1, curve=FULL)], 1, 16, 16),
    ("all done", [trial(0, curve=FULL)], 1, 8, 8),
]  # fmt: skip


@pytest.mark.parametrize(
    ("views", "trials", "done", "expected"), [c[1:] for c in EPOCH_CASES], ids=[c[0] for c in EPOCH_CASES]
)
def test_epochs(views: list[TrialView], trials: int, done: int, expected: int) -> None:
    now = tally(views, trials, epochs=8)
    assert (now.epochs_done, now.epochs_expected) == (done, expected)


def test_counts() -> None:
    states = ["running", "running", "complete", "pruned", "pruned", "pruned", "failed", "paused"]
    now = tally([trial(n, state) for n, state in enumerate(states)], trials=10, epochs=8)  # type: ignore[arg-type]
    assert (now.running, now.complete, now.pruned, now.failed, now.waiting, now.paused) == (2, 1, 3, 1, 2, 1)
    assert now.finished == 5


def epochs(done: int, expected: int) -> Tally:
    return Tally(1, 0, 0, 0, 0, epochs_done=done, epochs_expected=expected)


def test_time_left_counts_from_what_this_driver_has_done() -> None:
    """A study that goes on after 100 epochs must not take them for its own speed."""
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.left(epochs(100, 140)) is None
    now[0] = 30.0
    assert pace.left(epochs(110, 140)) == pytest.approx(90.0)
    assert pace.elapsed == 30.0


DURATIONS = [
    (-1, "0 s"), (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (1500, "25 min"),
    (7500, "2 h 05 min"), (273600, "3 d 04 h"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text

"""Weights that go and weights that stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.config.layout import StudyFolder
from raytrainer.results.keep import sweep
from raytrainer.search.views import TrialView

from .trials import trial

WEIGHTS = {
    "best.pt": "b",
    "last.pt": "l",
    "epoch5.pt": "e",
    "state.pt": "s",
    "state.prev.pt": "p",
    ".last.pt.7.partial": ".",
}
OTHERS = ("settings.yaml", "args.yaml", "records.jsonl", "log.txt", "results.csv")

STUDY = [
    trial(0, curve=(0.2, 0.2)),
    trial(1, curve=(0.4, 0.1)),
    trial(2, "pruned", (0.9,)),
    trial(3, "failed", (0.3,), reason="out of memory"),
    trial(4, "running", (0.1,)),
    trial(5, curve=(0.3, 0.3)),
]
NONE_COMPLETE = [trial(0, "pruned", (0.2,)), trial(1, "running", (0.5,)), trial(2, "pruned", (0.3,))]
ALL_FAILED = [trial(0, "failed", (0.2,)), trial(1, "failed")]

CASES: list[tuple[str, str, list[TrialView], dict[int, str]]] = [
    ("best", "best", STUDY, {1: "b", 4: "blesp."}),
    ("top-2", "top-2", STUDY, {1: "b", 4: "blesp.", 5: "b"}),
    ("top-3", "top-3", STUDY, {0: "b", 1: "b", 4: "blesp.", 5: "b"}),
    ("more than there are", "top-99", STUDY, {0: "b", 1: "b", 2: "b", 4: "blesp.", 5: "b"}),
    ("all", "all", STUDY, {0: "ble", 1: "ble", 2: "ble", 3: "ble", 4: "blesp.", 5: "ble"}),
    ("none complete: the leader that ended stays too", "best", NONE_COMPLETE, {1: "blesp.", 2: "b"}),
    ("all failed", "best", ALL_FAILED, {}),
    ("nothing ended", "best", [trial(0, "running")], {0: "blesp."}),
]


def fill(folder: StudyFolder, views: list[TrialView]) -> None:
    for view in views:
        (folder.trial(view.number) / "weights").mkdir(parents=True)
        for name in WEIGHTS:
            (folder.trial(view.number) / "weights" / name).write_bytes(b"x" * 10)
        for name in OTHERS:
            (folder.trial(view.number) / name).write_text("kept")


def left(folder: StudyFolder, views: list[TrialView]) -> dict[int, str]:
    there = {
        view.number: "".join(
            letter for name, letter in WEIGHTS.items() if (folder.trial(view.number) / "weights" / name).exists()
        )
        for view in views
    }
    return {number: names for number, names in there.items() if names}


@pytest.mark.parametrize(("keep", "views", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_policy(tmp_path: Path, keep: str, views: list[TrialView], expected: dict[int, str]) -> None:
    folder = StudyFolder(tmp_path)
    fill(folder, views)

    freed = sweep(folder, views, keep)

    assert left(folder, views) == expected
    assert freed == 10 * (6 * len(views) - sum(map(len, expected.values())))
    assert all((folder.trial(view.number) / name).is_file() for view in views for name in OTHERS)
    assert sweep(folder, views, keep) == 0


def test_the_best_so_far_stays_at_every_moment(tmp_path: Path) -> None:
    """Trials end one after another, each better or worse than the last: its weights are there when it leads."""
    folder = StudyFolder(tmp_path)
    fitness = [0.2, 0.1, 0.4, 0.4, 0.3, 0.5]
    fill(folder, [trial(n, "running", (f,)) for n, f in enumerate(fitness)])
    for ended in range(1, len(fitness) + 1):
        views = [trial(n, "complete" if n < ended else "running", (f,)) for n, f in enumerate(fitness)]
        sweep(folder, views, "best")
        leader = fitness.index(max(fitness[:ended]))
        assert left(folder, views) == {leader: "b"} | dict.fromkeys(range(ended, len(fitness)), "blesp.")


def test_a_trial_without_a_folder_is_no_error(tmp_path: Path) -> None:
    assert sweep(StudyFolder(tmp_path), [trial(0, "failed")], "best") == 0

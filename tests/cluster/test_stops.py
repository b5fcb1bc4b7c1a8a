"""Twenty early stops of a trial with two ranks leave nothing behind: the ranks go on with the next trial, and end."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from raytrainer.cluster.plan import plan
from raytrainer.cluster.run import run
from raytrainer.cluster.session import session
from raytrainer.config.space import Space
from raytrainer.search.stopping import Never
from raytrainer.search.study import Study
from raytrainer.search.views import TrialView

STOPS = 20
EARLY = 4
"""By then everything is there that a trial needs."""
SECONDS = 30.0
OURS = ("ray::Trial", "ray::Rank")


@dataclass(frozen=True)
class Found:
    """What is there of a study at one moment."""

    actors: Counter[str] = field(default_factory=Counter)
    placement_groups: int = 0
    processes: Counter[str] = field(default_factory=Counter)
    """Those of trials, ranks and loaders of images, by title."""
    ports: int = 0
    """On which they listen."""
    shared: list[str] = field(default_factory=list)
    """Files of theirs in shared memory."""
    images: list[str] = field(default_factory=list)

    @classmethod
    def now(cls, images: Path, seen: set[int]) -> Found:
        """Look; `seen` takes the identifiers of the processes."""
        import ray
        from ray.util.state import list_actors

        here, alive = ray.get_runtime_context().gcs_address, [("state", "!=", "DEAD")]
        groups = ray.util.placement_group_table().values()
        family = {
            process.pid: title for process in psutil.Process().children(True) if (title := of(process)).startswith(OURS)
        }
        seen.update(family)
        listening = [each for each in psutil.net_connections("inet") if each.status == psutil.CONN_LISTEN]
        return cls(
            Counter(actor.class_name for actor in list_actors(here, filters=alive)),
            sum(group["state"] != "REMOVED" for group in groups),
            Counter(family.values()),
            sum(each.pid in family for each in listening),
            sorted(name for name in os.listdir("/dev/shm") if seen & {int(p) for p in name.split("_") if p.isdigit()}),
            sorted(path.name for path in images.glob("*.images")),
        )


def of(process: psutil.Process) -> str:
    """A process's title."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_nothing_leaks(tmp_path: Path, bccd: Path, yolo_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, seen = tmp_path / "images", set[int]()
    monkeypatch.setenv("RAYTRAINER_IMAGES", str(images))
    space = Space.model_validate(
        {
            "model": str(yolo_tiny), "data": str(bccd), "search": {"trials": STOPS, "sampler": "random"},
            "train": {"epochs": 3, "imgsz": 32, "batch": 4, "nbs": 4, "workers": 1, "cache": "shared", "mosaic": 0,
                      "optimizer": "AdamW", "plots": False, "amp": False},
            "resources": {"ranks": 2, "cpus_per_rank": 1}, "space": {"lr0": {"low": 1e-4, "high": 1e-2, "log": True}},
        }
    )  # fmt: skip
    moments: dict[int, Found] = {}

    class Always(Never):
        """Gives every trial up at its first epoch."""

        def decide(self, number: int, epoch: int, views: Sequence[TrialView]) -> bool:  # noqa: ARG002
            if number in (EARLY, STOPS - 1) and number not in moments:
                moments[number] = Found.now(images, seen)
            return True

    with session(None, tmp_path / "driver.log", cpus=2) as starting:
        nodes = starting.result().nodes()
        with Study.open(tmp_path, space) as study:
            study._planner = replace(study._planner, decider=Always())
            run(study, space, study.folder, plan(space, nodes), stop=threading.Event(), on_trial_end=lambda _: None)
            assert [(view.state, view.last_epoch) for view in study.snapshot()] == [("pruned", 1)] * STOPS
        early, late = moments.values()
        assert early == late
        assert early.actors == {"Trial": 1, "RankActor": 2}
        assert early.images
        deadline = time.monotonic() + SECONDS
        while (left := Found.now(images, seen)) != Found() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == Found()

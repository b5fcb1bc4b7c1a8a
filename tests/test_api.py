"""What a study does at its end, with nothing left to train."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from raytrainer import api
from raytrainer.cluster import run as cluster_run
from raytrainer.cluster.session import Session
from raytrainer.config.space import Float, Search, Space
from raytrainer.results import best
from raytrainer.search.study import Study


class TwoCpus:
    """A cluster that is asked for nothing."""

    dashboard = None
    own = True

    def nodes(self) -> list[dict[str, float]]:
        return [{"CPU": 2.0}]


def nothing(*args: Any, **kwargs: Any) -> None:
    """Runs no trial and writes no best.pt."""


def test_weights_go_at_the_end_even_if_no_trial_ends_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a driver that was killed between a trial's end and its sweep, or a smaller `keep` at the next start."""
    monkeypatch.setattr(cluster_run, "run", nothing)
    monkeypatch.setattr(best, "write_best", nothing)
    space = Space(model="m", data="d", space={"lr0": Float(low=0.1, high=1.0)}, search=Search(trials=2))
    with Study.open(tmp_path, space) as study:
        for number, fitness in enumerate((0.5, 0.7)):
            assert study.ask()
            study.report(number, 1, fitness)
            study.finish(number, "complete")
            weights = study.folder.trial(number) / "weights"
            weights.mkdir(parents=True)
            for name in ("best.pt", "last.pt", "state.pt"):
                (weights / name).touch()
        api._run(study, space, cast(Session, TwoCpus()), lambda _: nullcontext(), sys.stdout, None)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.pt")] == ["trials/0001/weights/best.pt"]

"""What a population waits for before it goes on, and what not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from raytrainer.config.space import Failures
from raytrainer.search.searcher import StudySearcher
from raytrainer.search.study import Study
from search.test_population import Training, drive, space


def suggested(searcher: StudySearcher) -> Any:
    """What Ray gets in the end: as Ray does, ask until the storage has taken everything."""
    while (given := searcher.suggest("next")) is None:
        time.sleep(0.01)
    return given


def test_nobody_waits_for_a_failure_that_was_held_back(tmp_path: Path) -> None:
    asked = space(trials=4).model_copy(update={"failures": Failures(same_error=3)})
    with Study.open(tmp_path, asked) as study:
        training = Training(study)
        for _ in range(3):
            drive(study, training, turns=2)
        assert study.ask()
        assert [view.state for view in study.snapshot()] == ["paused", "paused", "paused", "running"]
    with Study.open(tmp_path, asked) as study:
        searcher = StudySearcher(study)
        assert suggested(searcher)["number"] == 3
        study.finish(3, "failed", "before an epoch of this driver")
        assert study.snapshot()[3].state == "running"
        searcher.on_trial_complete("next")
        assert suggested(searcher)["number"] == 0
        assert study.snapshot()[3].state == "failed"

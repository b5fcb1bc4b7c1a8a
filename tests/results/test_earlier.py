"""A study that an earlier version began is read, and goes on, though keys have changed since."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from optuna.storages.journal import JournalFileBackend, JournalStorage

from raytrainer.config.earlier import up_to_date
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.space import Budget, Float, Search, Space
from raytrainer.results.saved import read_study
from raytrainer.search.changes import resolved
from raytrainer.search.study import Study

SPACE = Space(
    model="m.pt",
    data="d.yaml",
    name="cells",
    fitness="mAP50",
    train={"epochs": 2},
    space={"lr0": Float(low=0.1, high=1.0)},
    search=Search(trials=5, sampler="random"),
)
BOUNDED = SPACE.model_copy(update={"search": SPACE.search.model_copy(update={"budget": Budget(wall=2, epochs=9)})})


def begun_earlier(folder: StudyFolder, **bounds: float | None) -> None:
    """A study with one trial, whose space is as it was kept before a budget had parts."""
    with Study.open(folder.path, SPACE) as study:
        assert study.ask()
    plain = resolved(SPACE)
    plain["search"] = {k: v for k, v in plain["search"].items() if k not in ("budget", "min_gain")} | bounds
    folder.space.write_text(yaml.safe_dump(plain))
    storage = JournalStorage(JournalFileBackend(str(folder.journal)))
    storage.set_study_user_attr(storage.get_all_studies()[0]._study_id, "space", plain)


@pytest.mark.parametrize(
    ("bounds", "now"),
    [({"time_budget": None, "epoch_budget": None}, SPACE), ({"time_budget": 2.0, "epoch_budget": 9}, BOUNDED)],
)
@pytest.mark.parametrize("file", [True, False])
def test_it_is_read_and_goes_on(tmp_path: Path, bounds: dict[str, float | None], now: Space, file: bool) -> None:
    begun_earlier(folder := StudyFolder(tmp_path / "cells"), **bounds)
    if not file:
        folder.space.unlink()
    space = read_study(str(folder.path)).space
    assert space == now
    for _ in range(2):
        with Study.open(folder.path, space) as study:
            assert [trial.number for trial in study.adopt()] == [0]


def test_files_and_flags_of_earlier_versions_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "cells.yaml"
    file.write_text("model: m.pt\ndata: d.yaml\nfitness: mAP50\nsearch:\n  seed: 1\n  time_budget: 3\n")
    assert load_space(file).search.budget == Budget(wall=3)
    assert load_space(file, ["search.budget.wall=4"]).search.budget == Budget(wall=4)
    both = load_space(file, ["search.time_budget=null", "search.epoch_budget=50"])
    assert both.search.budget == Budget(epochs=50)
    file.write_text(file.read_text().replace("time_budget: 3", "time_budget: soon"))
    with pytest.raises(UserError) as told:
        load_space(file)
    assert [(problem.line, problem.key) for problem in told.value.problems] == [(6, "search.budget.wall")]


@pytest.mark.parametrize("data", [{}, {"search": None}, {"search": 3}, {"search": {"budget": 3, "time_budget": 2}}])
def test_what_is_not_sound_is_left_for_the_check_of_the_form(data: dict[str, object]) -> None:
    assert up_to_date(data) == data

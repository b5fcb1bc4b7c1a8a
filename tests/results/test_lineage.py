"""A population as it is shown, counted and written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.assemble import assemble
from raytrainer.config.problems import UserError
from raytrainer.config.space import Categorical, Float, Search, Space
from raytrainer.results.best import _settings, stages
from raytrainer.results.best_file import BestFile, StageRecord, StudyRecord
from raytrainer.results.lineage import came_from, lineage_rows
from raytrainer.results.request import Change, request
from raytrainer.results.retrain import configuration, train_request
from raytrainer.results.schedule_check import stage_problems
from raytrainer.results.tally import generation, tally
from raytrainer.search.views import INHERITED, LINEAGE, TrialView

SPACE = Space(
    model="yolo-tiny.yaml",
    data="data.yaml",
    train={"epochs": 8, "warmup_epochs": 0},
    search=Search(schedule="pbt", perturbation_interval=2, trials=3),
    space={"lr0": Float(low=0.001, high=0.1), "class_weights.RBC": Float(low=1, high=5)},
)
OWN = {"lr0": 0.01, "class_weights.RBC": 1.0}
LINEAGES: dict[int, list[dict[str, Any]]] = {
    1: [
        {"epoch": 0, "trial": 2, "values": OWN},
        {"epoch": 2, "trial": 0, "values": {**OWN, "lr0": 0.02}},
        {"epoch": 6, "trial": 0, "values": {"lr0": 0.02, "class_weights.RBC": 2.0}},
    ]
}


def trial(number: int, epochs: int = 6, state: Any = "paused", promoted: int = 4) -> TrialView:
    notes = {LINEAGE: LINEAGES[number], INHERITED: {}} if number in LINEAGES else {}
    values = dict.fromkeys(range(1, epochs + 1), 0.1)
    return TrialView(number, state, dict(OWN), values, notes={**notes, "promoted": promoted})


def test_who_came_from_whom() -> None:
    assert came_from(trial(0)) == ""
    assert came_from(trial(1)) == " (from trial 2, after epoch 2 trial 0, after epoch 6 trial 0)"
    assert lineage_rows([trial(0), trial(1)]) == [
        ["0", "its own", "lr0=0.01 class_weights.RBC=1"],
        [
            "1",
            "from trial 2, after epoch 2 trial 0, after epoch 6 trial 0",
            "lr0=0.01 class_weights.RBC=1; from epoch 3 lr0=0.02; from epoch 7 class_weights.RBC=2",
        ],
    ]


@pytest.mark.parametrize(
    ("views", "shown"),
    [
        ([trial(0, 1, "running", 0)], "generation 1 of 4, 0 trials have gone on from others"),
        ([trial(0), trial(1)], "generation 3 of 4, 1 trial has gone on from others"),
        ([trial(0, 7, "running", 6), trial(1)], "generation 3 of 4, 1 trial has gone on from others"),
        ([trial(0, 8, "complete", 6)], "generation 4 of 4, 0 trials have gone on from others"),
    ],
)
def test_how_far_it_is(views: list[TrialView], shown: str) -> None:
    assert generation(views, [2, 4, 6]) == shown


def test_paused_trials_are_expected_to_go_on() -> None:
    views = [trial(0), trial(1)]
    assert tally(views, 3, 8).epochs_expected == 12 + 8
    assert tally(views, 3, 8, together=True).epochs_expected == 3 * 8


def test_the_schedule_has_a_stage_for_each_boundary() -> None:
    assert stages(SPACE, trial(1)) == [
        StageRecord(epoch=3, trial=0, values={"lr0": 0.02}),
        StageRecord(epoch=5, trial=0, values={}),
        StageRecord(epoch=7, trial=0, values={"class_weights.RBC": 2.0}),
    ]
    assert [(stage.epoch, stage.trial, stage.values) for stage in stages(SPACE, trial(0))] == [
        (3, 0, {}), (5, 0, {}), (7, 0, {}),
    ]  # fmt: skip
    assert stages(SPACE.model_copy(update={"search": Search()}), trial(0)) == []


def best(folder: Path, schedule: list[dict[str, Any]], trainer: dict[str, Any] | None = None) -> Path:
    file = folder / "best.yaml"
    BestFile(
        model="yolo-tiny.yaml", data="data.yaml", fitness="mAP50", train={"epochs": 8, "lr0": 0.01},
        trainer={"class_weights": {"RBC": 1.0}} if trainer is None else trainer, params=OWN,
        schedule=[StageRecord(**stage) for stage in schedule],
        best_fitness=0.1, best_epoch=6, baseline_fitness=None, seed=0, threads=1, versions={}, dataset=None,
        study=StudyRecord(name="cells", trial=1, state="complete", trials=3),
    ).write(file)  # fmt: skip
    return file


def test_a_best_file_is_the_trial(tmp_path: Path) -> None:
    view = trial(1)
    asked = request(best(tmp_path, [stage.model_dump() for stage in stages(SPACE, view)]))
    now = assemble(asked.space, {}, later=asked.later)
    first, *later = view.lineage
    then = assemble(SPACE, first.values, later=[(stage.epoch, stage.values) for stage in later])
    assert [epoch for epoch, _ in now.later] == [2, 4, 6]
    for epoch, config in then.later:
        same = dict(now.later)[epoch]
        assert same.train["lr0"] == config.train["lr0"]
        assert same.settings.class_weights == config.settings.class_weights


@pytest.mark.parametrize(
    ("fixed", "stated"),
    [
        ({"class_weights_power": 0.5, "positives_only": True}, {"class_weights_power": 0.5, "positives_only": True}),
        ({"normalize_class_weights": False, "clip_grad_norm": 1.0}, {"normalize_class_weights": False}),
        ({"class_weight_offsets": {"RBC": 0.5, "WBC": -0.5}},
         {"class_weight_offsets.RBC": 0.5, "class_weight_offsets.WBC": -0.5}),
    ],
)  # fmt: skip
def test_what_is_fixed_comes_into_force_with_what_it_belongs_to(
    fixed: dict[str, Any], stated: dict[str, Any], tmp_path: Path, yolo_tiny: Path, bccd: Path
) -> None:
    searched = {"class_weights": Categorical(choices=[None, "inverse_frequency"]), "lr0": Float(low=0.001, high=0.1)}
    space = SPACE.model_copy(update={"space": searched, "trainer": fixed})
    curve = [None, "inverse_frequency", None, "inverse_frequency"]
    steps = [
        {"epoch": 2 * i, "trial": 0, "values": {"class_weights": each, "lr0": 0.01}} for i, each in enumerate(curve)
    ]
    view = replace(trial(1), notes={LINEAGE: steps, INHERITED: {}})
    found = stages(space, view)
    assert found[0].values == {**stated, "class_weights": "inverse_frequency"}
    assert [stage.values["class_weights"] for stage in found[1:] if len(stage.values) == 1] == curve[2:]
    first = assemble(space, view.lineage[0].values)
    file = best(tmp_path, [stage.model_dump() for stage in found], _settings(first))
    file.write_text(file.read_text().replace("yolo-tiny.yaml", str(yolo_tiny)).replace("data.yaml", str(bccd)))
    asked = request(file)
    assert stage_problems(asked.space, asked.best.schedule) == []
    now = assemble(asked.space, {}, later=asked.later)
    then = assemble(space, view.lineage[0].values, later=[(step.epoch, step.values) for step in view.lineage[1:]])
    for (_, again), (_, config) in zip(now.later, then.later, strict=True):
        assert set(again.settings.difference(config.settings)) <= {"fitness", "subject_to"}


def test_the_device_is_that_of_every_stage(tmp_path: Path) -> None:
    asked = request(best(tmp_path, [stage.model_dump() for stage in stages(SPACE, trial(1))]))
    config = configuration(asked, "1")
    assert [stage.train["device"] for stage in (config, *(later for _, later in config.later))] == ["1"] * 4
    assert configuration(asked) == assemble(asked.space, {}, later=asked.later)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ([(3, {"batch": 4})], "schedule.0.values.batch: cannot change while a model trains"),
        ([(3, {"lr": 4})], "schedule.0.values.lr: cannot change while a model trains, did you mean 'lr0'?"),
        ([(3, {"lr0": -1})], "schedule.0.values.lr0: expected a number from 0 to 1, got -1"),
        ([(3, {"lr0": 0.1}), (3, {"lr0": 0.2})], "schedule.1.epoch: expected an epoch after 3, got 3"),
        ([(9, {"lr0": 0.1})], "schedule: the last values come into force at epoch 9, and there are 8"),
    ],
)
def test_a_schedule_that_was_edited_wrongly_is_told(
    tmp_path: Path, schedule: list[tuple[int, dict[str, Any]]], message: str
) -> None:
    file = best(tmp_path, [{"epoch": epoch, "trial": 0, "values": values} for epoch, values in schedule])
    with pytest.raises(UserError) as error:
        request(file)
    (problem,) = error.value.problems
    assert message in str(problem)
    assert problem.line


@pytest.mark.parametrize(
    ("trainer", "schedule", "message"),
    [
        ({"class_weights": {"RBC": 2.0}}, [{}, {"class_weights.WBC": 3, "lr0": 0.1}], None),
        ({}, [{"class_weights.Plateletz": 3}],
         "trainer.class_weights.Plateletz: the dataset has no class 'Plateletz', did you mean 'Platelets'?"),
        ({"class_weights": "inverse_frequency"}, [{}, {"class_weights.RBC": 3}],
         "schedule.1.values.class_weights.RBC: class_weights is 'inverse_frequency' there, which is not by class"),
        ({"class_weights": [1.0, 2.0, 3.0]}, [{"class_weights.RBC": 3}],
         "schedule.0.values.class_weights.RBC: class_weights is [1.0, 2.0, 3.0] there, which is not by class"),
        ({}, [{"class_weights_power": 0.5}],
         "trainer.class_weights_power: has no effect: it belongs to class_weights: inverse_frequency, which is not "
         "set"),
    ],
)  # fmt: skip
def test_each_stage_is_checked_as_a_configuration_is(
    tmp_path: Path, bccd: Path, trainer: dict[str, Any], schedule: list[dict[str, Any]], message: str | None
) -> None:
    stages = [{"epoch": epoch, "trial": 0, "values": values} for epoch, values in enumerate(schedule, 3)]
    changes = [Change("model", "yolov8n.yaml", "--model"), Change("data", str(bccd), "--data")]
    file = best(tmp_path, stages, trainer)
    asked = request(file, changes)
    assert asked.best is not None
    found = stage_problems(asked.space, asked.best.schedule)
    assert [str(problem).partition(": ")[2] for problem in found] == ([] if message is None else [message])
    for problem in found:
        assert "class_weights" in file.read_text().splitlines()[(problem.line or 0) - 1]
        with pytest.raises(UserError, match="class"):
            train_request(asked, tmp_path / "run")


def test_without_a_schedule_the_file_is_as_it_was(tmp_path: Path) -> None:
    assert "schedule" not in best(tmp_path, []).read_text()

"""Values that change while a run goes on: the same in one run, in two, and from another run's checkpoint."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ultralytics.data.augment import Mosaic

from raytrainer.config.assemble import TrialConfig
from raytrainer.config.mutable import MUTABLE
from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.config.ultralytics_arguments import defaults
from raytrainer.trainer import handover, value_schedule
from raytrainer.trainer.handover import take_over
from raytrainer.trainer.run import StopTraining, build, train
from raytrainer.trainer.state_file import read_state

from .runs import differences, last_state, stopper, train_through

CHANGED = {"lr0": 0.003, "momentum": 0.8, "weight_decay": 0.01, "box": 2.0, "mosaic": 0.0, "degrees": 20.0}


def with_(config: TrialConfig, settings: dict[str, Any] | None = None, **train: Any) -> TrialConfig:
    """A configuration with other values, and none that come later."""
    changed = Settings.model_validate({**config.settings.model_dump(), **(settings or {})})
    return replace(config, train={**config.train, **train}, settings=changed, later=())


@pytest.fixture
def begun(trial: Any) -> TrialConfig:
    """Three epochs with mosaics, momentum and pending gradients at the end of each."""
    config: TrialConfig = trial(epochs=3, mosaic=1.0, close_mosaic=0, nbs=8, warmup_epochs=0.5)
    return config


@pytest.mark.parametrize(
    "changed",
    [
        {"train": CHANGED},
        {"settings": {"backbone_lr_ratio": 0.5, "clip_grad_norm": 1.0}},  # its groups are split elsewhere
        {"settings": {"class_weights": {"Platelets": 5.0}, "layer_decay": 0.9}},
    ],
)
def test_one_run_is_that_of_a_clone_that_goes_on_with_other_values(
    begun: TrialConfig, tmp_path: Path, changed: dict[str, Any]
) -> None:
    """Another run leaves off; its files are taken over; the lineage is trained again, in one run and interrupted."""
    then = with_(begun, changed.get("settings"), **changed.get("train", {}))
    lineage = replace(begun, later=((2, then),))
    with pytest.raises(StopTraining):
        train(begun, tmp_path / "source", threads=1, on_epoch=stopper(2))
    with pytest.raises(StopTraining):
        train(with_(begun, lr0=0.1), tmp_path / "clone", threads=1, on_epoch=stopper(1))
    take_over(tmp_path / "source", tmp_path / "clone")
    clone = train_through(lineage, tmp_path / "clone")
    whole = train_through(lineage, tmp_path / "whole", [1, 2])
    told: list[int] = []
    again = train_through(lineage, tmp_path / "again", on=told)
    assert told == [1, 2, 3]
    assert clone.best_fitness == whole.best_fitness == again.best_fitness
    for folder in ("whole", "again"):
        assert list(differences(last_state(tmp_path / folder), last_state(tmp_path / "clone"))) == []
    train_through(begun, tmp_path / "other")
    assert list(differences(last_state(tmp_path / "other")["model"], last_state(tmp_path / "clone")["model"]))


@pytest.mark.parametrize(
    "changed",
    [
        {"train": {"momentum": 0.5}},
        {"train": {"box": 1.0}},
        {"train": {"hsv_v": 0.0}},
        {"train": {"fliplr": 0.0}},
        {"train": {"mosaic": 0.0}},
        {"train": {"cls_pw": 1.0}},
        {"settings": {"backbone_lr_ratio": 0.1}},
        {"settings": {"layer_decay": 0.5}},
        {"settings": {"class_weights": {"Platelets": 5.0}}},
        {"settings": {"clip_grad_norm": 0.01}},
        {"settings": {"clip_grad_value": 1e-5}},
    ],
)
def test_a_value_of_each_kind_takes_effect_by_itself(
    begun: TrialConfig, tmp_path: Path, changed: dict[str, Any]
) -> None:
    """One of each row of the table of what is mutable."""
    config = with_(begun, epochs=2, fliplr=1.0)
    then = with_(config, changed.get("settings"), **changed.get("train", {}))
    for name, later in (("plain", config), ("changed", then)):
        train_through(replace(config, later=((1, later),)), tmp_path / name)
    assert list(differences(last_state(tmp_path / "plain")["model"], last_state(tmp_path / "changed")["model"]))


def test_a_stage_with_the_same_values_is_no_change(begun: TrialConfig, tmp_path: Path) -> None:
    train_through(begun, tmp_path / "one")
    train_through(replace(begun, later=((1, begun), (2, begun))), tmp_path / "staged")
    one, staged = last_state(tmp_path / "one"), last_state(tmp_path / "staged")
    assert [since for since, *_ in staged["history"]] == [0, 1]
    assert list(differences({**one, "since": 2, "history": staged["history"]}, staged)) == []


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW", "MuSGD"])
def test_rates_are_those_of_the_stage(trial: Any, tmp_path: Path, optimizer: str) -> None:
    """The rest of the curve is the stock one of the new rate; what the optimizer remembers stays."""
    config = trial(epochs=4, warmup_epochs=0, optimizer=optimizer, lrf=0.1)
    then = with_(config, {"backbone_lr_ratio": 0.5}, lr0=0.002, weight_decay=0.02, lrf=0.5)
    lineage = replace(config, later=((2, then),))
    result = train_through(lineage, tmp_path / "run", [3])
    head = [next(rate for name, rate in record.lr.items() if name.endswith("/bn")) for record in result.records]
    first, second = config.train["lr0"], 0.002
    assert head == pytest.approx([first, first * (1 - 0.9 / 4), second * (1 - 0.5 * 2 / 4), second * (1 - 0.5 * 3 / 4)])
    assert result.records[-1].lr["backbone/bn"] == pytest.approx(head[-1] / 2)
    state = last_state(tmp_path / "run")
    decays = {group["weight_decay"] for group in state["optimizer"]["param_groups"] if group["param_group"] == "weight"}
    assert decays == {0.02 * config.train["batch"] / config.train["nbs"]}
    assert len(state["optimizer"]["state"]) == len(state["parameters"]) - 1, "all but the fixed weights of the loss"


@pytest.mark.parametrize("at", [3, 5])
def test_a_recovery_from_nan_keeps_the_values_of_the_stage(trial: Any, tmp_path: Path, at: int) -> None:
    """Also where last.pt is still that of the stage before."""
    recovering = {"on_nan": "recover", "checkpoint_every": 2}
    config = with_(trial(epochs=6, warmup_epochs=0), recovering)
    then = with_(config, {"backbone_lr_ratio": 0.5}, lr0=0.002, weight_decay=0.02)
    lineage = replace(config, later=((2, then),))
    with pytest.raises(StopTraining):
        train(lineage, tmp_path, threads=1, on_epoch=stopper(2))
    before = read_state(tmp_path / "weights")
    stage = value_schedule.Stage.after(2, lineage)
    trainer = build(stage.config, tmp_path, stage.taking_up(before))
    trainer.until, trainer.since, trainer.history = stage.until, stage.since, stage.history
    seen: list[int] = []
    trainer.add_callback("on_train_epoch_start", lambda trainer: seen.append(trainer.epoch))
    trainer.add_callback("on_train_batch_start", lambda trainer: _poison(trainer, at, seen))
    trainer.train()
    assert seen == [2, *range(3, at + 1), *range(at, 6)]
    groups = [group for group in trainer.optimizer.param_groups if group["param_group"] == "weight"]
    assert {group["weight_decay"] for group in groups} == {0.02 * config.train["batch"] / config.train["nbs"]}
    assert {group["initial_lr"] for group in groups} == {0.002, 0.001}


def _poison(trainer: Any, epoch: int, seen: list[int]) -> None:
    if trainer.epoch == epoch and seen.count(epoch) == 1:
        next(trainer.model.parameters()).data.fill_(float("nan"))


def test_the_moments_stay_with_their_parameters(trial: Any, tmp_path: Path) -> None:
    """Though the groups, and so the numbers of the parameters, are others."""
    config = trial(epochs=3, optimizer="AdamW", nbs=64)
    with pytest.raises(StopTraining):
        train(config, tmp_path, threads=1, on_epoch=stopper(1))
    before = read_state(tmp_path / "weights")
    assert before is not None
    stage = value_schedule.Stage.after(1, replace(config, later=((1, with_(config, {"layer_decay": 0.7})),)))
    trainer = build(stage.config, tmp_path, stage.taking_up(before))
    trainer.add_callback("on_train_start", _leave)
    with pytest.raises(StopTraining):
        trainer.train()
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    order = [names[id(p)] for group in trainer.optimizer.param_groups for p in group["params"]]
    assert order != before["parameters"]
    own = trainer.optimizer.state_dict()["state"]
    moments = {name: before["optimizer"]["state"].get(number) for number, name in enumerate(before["parameters"])}
    assert list(differences(moments, {name: own.get(number) for number, name in enumerate(order)})) == []


def _leave(_: Any) -> None:
    raise StopTraining


def test_augmentation_is_that_of_the_stage(begun: TrialConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[float, float]] = []
    original = Mosaic.__init__

    def mosaic(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        made.append(options["p"])

    monkeypatch.setattr(Mosaic, "__init__", mosaic)
    train_through(replace(begun, later=((1, with_(begun, mosaic=0.25)),)), tmp_path / "run")
    assert [p for p in made if p] == [1.0, 0.25]


def test_every_mutable_argument_exists() -> None:
    assert not MUTABLE - defaults().keys() - Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (((1, {"lr0": 0.1}),), "lr0: this training argument was 0.003"),
        (((2, CHANGED),), "schedule: this schedule was [0, 1] when the run began and is [0] now"),
        ((), "schedule: this schedule was [0, 1]"),
    ],
)
def test_another_schedule_is_refused(
    begun: TrialConfig, tmp_path: Path, later: tuple[tuple[int, dict[str, Any]], ...], message: str
) -> None:
    """Also when the stage that differs is over."""
    lineage = replace(begun, later=((1, with_(begun, **CHANGED)),))
    with pytest.raises(StopTraining):
        train(lineage, tmp_path, threads=1, on_epoch=stopper(2))
    other = replace(begun, later=tuple((since, with_(begun, **{**CHANGED, **values})) for since, values in later))
    with pytest.raises(UserError) as error:
        train(other, tmp_path, threads=1)
    assert message in str(error.value.problems[0])


def test_a_damaged_state_before_a_change_costs_one_epoch(begun: TrialConfig, tmp_path: Path) -> None:
    lineage = replace(begun, later=((2, with_(begun, **CHANGED)),))
    with pytest.raises(StopTraining):
        train(lineage, tmp_path / "run", threads=1, on_epoch=stopper(2))
    (tmp_path / "run" / "weights" / "state.pt").write_bytes(b"torn")
    told: list[int] = []
    result = train_through(lineage, tmp_path / "run", on=told)
    assert told == [3], "the second epoch was told before"
    assert result.best_fitness == train_through(lineage, tmp_path / "whole").best_fitness
    assert list(differences(last_state(tmp_path / "whole"), last_state(tmp_path / "run"))) == []


@pytest.mark.parametrize("files", range(4))
def test_taking_over_leaves_nothing_of_the_run_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """Also if the driver that began it died after so many files, and another does it again."""
    source, target = tmp_path / "source", tmp_path / "target"
    for folder, names in ((source, ["state.pt", "best.pt"]), (target, ["state.pt", "state.prev.pt"])):
        (folder / "weights").mkdir(parents=True)
        for name in names:
            (folder / "weights" / name).write_text(f"{folder.name} {name}")
        (folder / "records.jsonl").write_text(folder.name)
    (target / ".owner").write_text("somebody")
    (target / "log.txt").write_text("kept")
    put, done = handover._put, 0

    def dies(*args: Any, **kwargs: Any) -> None:
        nonlocal done
        if done == files:
            raise KeyboardInterrupt
        done += 1
        put(*args, **kwargs)

    with monkeypatch.context() as driver:
        driver.setattr(handover, "_put", dies)
        with contextlib.suppress(KeyboardInterrupt):
            take_over(source, target)
    assert done == files
    for _ in range(2):
        take_over(source, target)
    found = {path.name: path.read_text() for path in target.rglob("*") if path.is_file()}
    assert found == {
        "state.pt": "source state.pt", "best.pt": "source best.pt", "records.jsonl": "source", "log.txt": "kept",
    }  # fmt: skip
    (target / "records.jsonl").open("a").write("more")
    assert (source / "records.jsonl").read_text() == "source", "what is appended to is no link"
    shutil.rmtree(source)
    assert (target / "weights" / "state.pt").read_text() == "source state.pt"

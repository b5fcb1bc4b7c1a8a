"""With everything off the composed trainer is the stock one, and composing keeps what others rely on."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from ultralytics import YOLO
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.patches import torch_load

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer.compose import CUSTOMISATIONS, compose
from raytrainer.trainer.contract import RAY_CALLBACK_MODULE, Customisation, Event
from raytrainer.trainer.families import trainer_of

QuickArgs = Callable[..., dict[str, Any]]
ROOM = Path(__file__).parents[2] / "raytrainer" / "trainer"


def train(trainer: type[BaseTrainer], arguments: dict[str, Any]) -> dict[str, Any]:
    """Train and return what a run leaves behind: weights, fitness of each epoch, columns without the clock."""
    run = trainer(overrides=arguments)
    fitness: list[float] = []
    run.add_callback("on_model_save", lambda trainer: fitness.append(float(trainer.fitness)))
    run.train()
    with run.csv.open() as file:
        rows = [{key: value for key, value in row.items() if key != "time"} for row in csv.DictReader(file)]
    return {"fitness": fitness, "csv": rows, "weights": torch_load(run.last)["model"].state_dict()}


@pytest.mark.parametrize(
    ("model", "base", "optimizer"),
    [
        ("yolov8n.yaml", DetectionTrainer, "SGD"),
        ("yolo26n.yaml", DetectionTrainer, "MuSGD"),
        ("rtdetr-tiny", RTDETRTrainer, "AdamW"),
    ],
)
def test_with_everything_off_it_equals_the_stock_trainer(
    model: str, base: type[BaseTrainer], optimizer: str, quick_args: QuickArgs, rtdetr_tiny: Path
) -> None:
    model = str(rtdetr_tiny) if model == "rtdetr-tiny" else model
    quick = {"epochs": 3, "optimizer": optimizer, "lr0": 0.002, "close_mosaic": 1, "nbs": 8}
    stock = train(base, quick_args(model, name="stock", **quick))
    composed = train(compose(base), quick_args(model, name="composed", **quick))
    assert len(stock["fitness"]) == 3
    assert composed["fitness"] == stock["fitness"]
    for key, value in stock["weights"].items():
        assert torch.equal(composed["weights"][key], value), key
    shared = stock["csv"][0].keys()
    assert [{key: row[key] for key in shared} for row in composed["csv"]] == stock["csv"]


def test_a_class_made_with_settings_keeps_its_base() -> None:
    composed = compose(RTDETRTrainer, clip_grad_norm=0.1)
    assert issubclass(composed, RTDETRTrainer)
    assert all(issubclass(composed, mixin) for mixin in CUSTOMISATIONS)
    assert composed.__name__ == "ComposedRTDETRTrainer"
    assert composed.settings == Settings(clip_grad_norm=0.1)


def test_composing_again_adds_to_the_settings() -> None:
    again = compose(compose(freeze=2), clip_grad_norm=0.1)
    assert again.settings == Settings(freeze=2, clip_grad_norm=0.1)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="backbone_lr"):
        compose(backbone_lr=0.1)


def test_customisations_override_disjoint_methods() -> None:
    owners: dict[str, str] = {}
    for mixin in CUSTOMISATIONS:
        for name in vars(mixin):
            if not name.startswith("__") and hasattr(BaseTrainer, name):
                assert name not in owners, f"{name} is overridden by {owners.get(name)} and {mixin.__name__}"
                owners[name] = mixin.__name__
    assert len(owners) >= len(CUSTOMISATIONS)


def test_events_are_registered_once_and_before_the_users_callbacks(quick_args: QuickArgs) -> None:
    def mine(trainer: Any) -> None: ...

    composed = compose()
    first = composed(overrides=quick_args("yolov8n.yaml"), _callbacks=None)
    first.add_callback("on_train_epoch_start", mine)
    second = composed(overrides=quick_args("yolov8n.yaml"), _callbacks=first.callbacks)
    starts = second.callbacks["on_train_epoch_start"]
    assert starts.count(Event("_unfreeze")) == 1
    assert starts.index(Event("_unfreeze")) < starts.index(mine)


def test_the_ray_callback_of_ultralytics_is_not_attached(quick_args: QuickArgs) -> None:
    stock = DetectionTrainer(overrides=quick_args("yolov8n.yaml"))
    composed = compose()(overrides=quick_args("yolov8n.yaml"))

    def modules(trainer: BaseTrainer) -> set[str]:
        return {callback.__module__ for callbacks in trainer.callbacks.values() for callback in callbacks}

    assert RAY_CALLBACK_MODULE in modules(stock)
    assert RAY_CALLBACK_MODULE not in modules(composed)


def test_a_composed_class_survives_the_way_to_the_ranks_that_stock_training_spawns() -> None:
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    arrived = cloudpickle.loads(cloudpickle.dumps({"trainer": compose(freeze=2), "callback": Event("_unfreeze")}))
    assert arrived["trainer"].settings == Settings(freeze=2)
    assert issubclass(arrived["trainer"], Customisation)
    assert arrived["callback"] == Event("_unfreeze")


def test_the_trainer_imports_neither_ray_nor_optuna() -> None:
    for file in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in {"ray", "optuna"}, f"{file.name} imports {name}"
                assert not name.startswith("raytrainer.") or name.split(".")[1] in {"trainer", "config"}, file.name


EVERYTHING = Settings(
    backbone_lr_ratio=0.1, layer_decay=0.9, clip_grad_norm=1.0, clip_grad_value=0.1, freeze="backbone",
    unfreeze_epoch=1, unfreeze_every=1, class_weights="inverse_frequency", sync_bn="auto",
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("yolo26n.yaml", "detect"),
        ("yolo11n-seg.yaml", "segment"),
        ("yolo26n-pose.yaml", "pose"),
        ("yolov8n-obb.yaml", "obb"),
    ],
)
def test_every_task_takes_everything(
    model: str, task: str, quick_args: QuickArgs, bccd_for: Callable[[str], Path], tmp_path: Path
) -> None:
    arguments = quick_args(model, data=str(bccd_for(task)), task=task, epochs=2)
    arguments.pop("model")
    yolo = YOLO(model)
    yolo.train(trainer=compose(trainer_of(model), EVERYTHING), **arguments)
    trained = YOLO(tmp_path / "run" / "weights" / "last.pt")
    assert trained.task == task
    assert trained.names == {0: "RBC", 1: "WBC", 2: "Platelets"}
    assert all(torch.isfinite(value).all() for value in trained.model.state_dict().values())


@pytest.fixture
def pictures(bccd: Path, tmp_path: Path) -> Path:
    """A folder of images by class, as the task of classification has it."""
    images = sorted((bccd.parent / "images" / "train").glob("*.jpg"))
    for split in ("train", "val"):
        for index, image in enumerate(images[:8]):
            target = tmp_path / "classes" / split / f"kind{index % 2}" / image.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(image.read_bytes())
    return tmp_path / "classes"


def test_classification_takes_what_applies(quick_args: QuickArgs, pictures: Path) -> None:
    settings = Settings(backbone_lr_ratio=0.1, clip_grad_norm=0.5, freeze=3, unfreeze_epoch=1)
    arguments = quick_args("yolo11n-cls.yaml", data=str(pictures), task="classify", epochs=2)
    trainer = compose(ClassificationTrainer, settings)(overrides=arguments)
    trainer.train()
    assert torch_load(trainer.last)["model"].names == {0: "kind0", 1: "kind1"}
    assert all(parameter.requires_grad for parameter in trainer.model.parameters())


def test_classification_refuses_class_weights(quick_args: QuickArgs, pictures: Path) -> None:
    arguments = quick_args("yolo11n-cls.yaml", data=str(pictures), task="classify")
    with pytest.raises(UserError, match="ComposedClassificationTrainer has no class weights"):
        compose(ClassificationTrainer, class_weights={"kind0": 2.0})(overrides=arguments).train()

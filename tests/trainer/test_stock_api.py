"""The composed class in Ultralytics' own interface: `YOLO(…).train(trainer=…)` and `RTDETR(…)`, with what follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ultralytics import RTDETR, YOLO
from ultralytics.engine.model import Model
from ultralytics.models.rtdetr.train import RTDETRTrainer

from raytrainer.config.settings import Settings
from raytrainer.trainer.compose import compose

SETTINGS = Settings(
    backbone_lr_ratio=0.1, clip_grad_norm=0.1, freeze="backbone", unfreeze_epoch=1, fitness="min(recall) + mAP50 - 2",
    class_weights="inverse_frequency",
)  # fmt: skip


@pytest.mark.parametrize(
    ("model_class", "base", "file"), [(YOLO, None, "yolov8n.yaml"), (RTDETR, RTDETRTrainer, "rtdetr-tiny.yaml")]
)
def test_the_class_is_given_to_model_train(
    model_class: type[Model], base: Any, file: str, quick_args: Callable[..., dict[str, Any]], rtdetr_tiny: Path,
    bccd: Path, tmp_path: Path,
) -> None:  # fmt: skip
    model = model_class(str(rtdetr_tiny) if file == "rtdetr-tiny.yaml" else file)
    arguments = quick_args(file, epochs=2, optimizer="AdamW", lr0=0.002)
    seen: list[float | None] = []
    model.add_callback("on_fit_epoch_end", lambda trainer: seen.append(trainer.metrics.get("metrics/F1(B)")))
    metrics = model.train(
        trainer=compose(base, SETTINGS), **{key: value for key, value in arguments.items() if key != "model"}
    )
    records = model.trainer.records
    assert [record.epoch for record in records] == [1, 2]
    assert seen[:2] == [record.metrics["F1"] for record in records]  # the third is that of the final evaluation
    assert all(record.clipped_share == 1.0 for record in records)
    assert records[-1].lr["backbone/weight"] == pytest.approx(records[-1].lr["head/weight"] / 10)
    assert records[-1].fitness == pytest.approx(min(records[-1].metrics[f"recall[{n}]"] for n in metrics.names.values())
                                                + records[-1].metrics["mAP50"] - 2)  # fmt: skip
    assert Settings.from_yaml((tmp_path / "run/settings.yaml").read_text()) == SETTINGS
    assert Path(model.trainer.best).is_file()
    assert metrics.names == model.names == {0: "RBC", 1: "WBC", 2: "Platelets"}
    image = next((bccd.parent / "images" / "val").glob("*.jpg"))
    assert len(model.predict(image, imgsz=64, device="cpu", verbose=False)) == 1
    assert model.val(data=str(bccd), imgsz=64, device="cpu", plots=False, project=str(tmp_path)).box.map50 >= 0

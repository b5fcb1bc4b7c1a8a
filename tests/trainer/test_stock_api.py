"""The composed class in Ultralytics' own interface: `YOLO(…).train(trainer=…)` and `RTDETR(…)`, with what follows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ultralytics import RTDETR, YOLO
from ultralytics.engine.model import Model
from ultralytics.models.rtdetr.train import RTDETRTrainer

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer.compose import compose
from raytrainer.trainer.records import read_records

MODELS = Path(__file__).parents[1] / "models"
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
    assert Settings.from_yaml((tmp_path / "run/weights/settings.yaml").read_text()) == SETTINGS
    assert Path(model.trainer.best).is_file()
    assert metrics.names == model.names == {0: "RBC", 1: "WBC", 2: "Platelets"}
    image = next((bccd.parent / "images" / "val").glob("*.jpg"))
    assert len(model.predict(image, imgsz=64, device="cpu", verbose=False)) == 1
    assert model.val(data=str(bccd), imgsz=64, device="cpu", plots=False, project=str(tmp_path)).box.map50 >= 0


@pytest.mark.parametrize(
    ("base", "file", "named"),
    [(None, "rtdetr-tiny", "RTDETRTrainer"), (RTDETRTrainer, "rtdetr-tiny", None), (None, "yolo-tiny", None)],
)
def test_a_trainer_of_another_family_is_refused(
    base: Any, file: str, named: str | None, quick_args: Callable[..., dict[str, Any]]
) -> None:
    """`RTDETR(…).train(trainer=compose())` would end in an error about a stride, deep in YOLO's loss."""
    trainer = compose(base)(overrides=quick_args(MODELS / f"{file}.yaml"))
    if named is None:
        trainer.setup_model()
    else:
        with pytest.raises(UserError, match=f"compose one that can: {named}"):
            trainer.setup_model()


TRAIN_WITHOUT_A_SEARCH = """
import sys
for name in ("ray", "optuna"):
    sys.modules[name] = None  # an import of it raises
from raytrainer.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_command_line_trains_where_neither_ray_nor_optuna_is(bccd: Path, rtdetr_tiny: Path, tmp_path: Path) -> None:
    settings = (
        "--backbone-lr-ratio 0.1 --clip-grad-norm 0.1 --class-weights inverse_frequency --fitness min(recall)+F1-2"
    )
    others = "--epochs 1 --device cpu --threads 1 --name alone imgsz=64 batch=4 workers=0 plots=false amp=false"
    words = ["train", "--model", str(rtdetr_tiny), "--data", str(bccd), *settings.split(), *others.split()]
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_WITHOUT_A_SEARCH, *words], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    folder = tmp_path / "runs" / "train" / "alone"
    assert [record.epoch for record in read_records(folder / "records.jsonl")] == [1]
    kept = Settings.from_yaml((folder / "weights" / "settings.yaml").read_text())
    assert (kept.backbone_lr_ratio, kept.fitness) == (0.1, "min(recall)+F1-2")
    assert RTDETR(folder / "weights" / "best.pt").names == {0: "RBC", 1: "WBC", 2: "Platelets"}

"""Metrics by name over all classes that have labels, for every task, in the records, results.csv and the log."""

from __future__ import annotations

import csv
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ultralytics.utils.metrics import ClassifyMetrics, DetMetrics, SegmentMetrics
from ultralytics.utils.patches import torch_load

from raytrainer.config.fitness import parse_fitness
from raytrainer.config.metric_names import MEASURED, means, per_class
from raytrainer.config.settings import Settings
from raytrainer.trainer.compose import compose
from raytrainer.trainer.metrics import added_columns, column, metric_names, named_metrics, table
from raytrainer.trainer.run import train

NAMES = {0: "cat", 1: "dog", 2: "cow", 3: "newt"}


@pytest.fixture
def detections() -> DetMetrics:
    """Cats are found, dogs are missed, cows were never predicted, and there is no newt in the labels."""
    metrics = DetMetrics(NAMES)
    predicted = np.array([0.0] * 8 + [1.0] * 2)
    metrics.update_stats(
        {
            "tp": np.array([[True] * 10] * 8 + [[False] * 10] * 2),
            "conf": np.linspace(0.9, 0.5, 10),
            "pred_cls": predicted,
            "target_cls": np.array([0.0] * 8 + [1.0] * 4 + [2.0] * 4),
            "target_img": np.array([0.0, 1.0, 2.0]),
            "im_name": "farm.jpg",
        }
    )
    metrics.process()
    return metrics


def test_a_missed_class_counts_as_zero(detections: DetMetrics) -> None:
    named = named_metrics(detections, NAMES)
    f1 = [named[f"F1[{name}]"] for name in ("cat", "dog", "cow")]
    assert f1[0] > 0.9
    assert f1[1:] == [0.0, 0.0]
    assert named["F1"] == pytest.approx(sum(f1) / 3)
    found = [value for value in detections.box.f1 if value > 0]  # the upstream guide's mean
    assert named["F1"] < np.mean(found) / 2


@pytest.mark.parametrize("metric", ["precision", "recall", "F1", "AP50", "AP"])
def test_a_class_without_labels_is_nan_and_in_no_mean(metric: str, detections: DetMetrics) -> None:
    named = named_metrics(detections, NAMES)
    assert math.isnan(named[f"{metric}[newt]"])
    mean = {"AP50": "mAP50", "AP": "mAP50-95"}.get(metric, metric)
    assert named[mean] == pytest.approx(np.mean([named[f"{metric}[{name}]"] for name in ("cat", "dog", "cow")]))
    assert parse_fitness(f"mean({metric})")(named) == pytest.approx(named[mean])


def test_the_table_names_every_class(detections: DetMetrics) -> None:
    lines = table(named_metrics(detections, NAMES), NAMES).splitlines()
    assert [line.split()[0] for line in lines] == ["class", "all", "cat", "dog", "cow", "newt"]
    assert lines[3].split()[1:] == ["0.0000"] * 5
    assert lines[5].count("no labels") == 5
    assert len({len(line) for line in lines}) == 1


def test_two_kinds_of_prediction_have_two_tables() -> None:
    metrics = SegmentMetrics(NAMES)
    named = named_metrics(metrics, NAMES)
    assert [line for line in table(named, NAMES).splitlines() if line.startswith("class")][1].startswith("class (M)")
    assert math.isnan(named["AP50(M)[cat]"])
    assert table(named_metrics(ClassifyMetrics(), NAMES), NAMES) == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("F1", "metrics/F1(B)"),
        ("F1(M)", "metrics/F1(M)"),
        ("AP[cat]", "class/AP(B)/cat"),
        ("recall(P)[tall man]", "class/recall(P)/tall man"),
        ('AP50[cup, 7"]', "class/AP50(B)/cup  7 "),
        ("AP[a[b]]", "class/AP(B)/a[b]"),
    ],
)
def test_columns_of_the_results(name: str, expected: str) -> None:
    assert column(name) == expected


@pytest.mark.parametrize(
    ("metrics", "task"), [(DetMetrics, "detect"), (SegmentMetrics, "segment"), (ClassifyMetrics, "classify")]
)
def test_the_names_are_those_of_the_fitness_expression(metrics: Any, task: str) -> None:
    names = metric_names(metrics(), {0: "cat"})
    assert set(names) | set(MEASURED) == {*means(task), *(f"{name}[cat]" for name in per_class(task))}
    assert not any("metric" in name for name in added_columns(named_metrics(metrics(), {0: "cat"})) if "cat" in name)


def task_data(task: str, source: Path, target: Path) -> str:
    """The blood cells with labels for another task: each box as polygon, as oriented box, or with two keypoints."""
    if task == "classify":
        for split in ("train", "val"):
            for i, image in enumerate(sorted((source.parent / "images" / split).iterdir())):
                folder = target / split / ("odd" if i % 2 else "even")
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(image, folder)
        return str(target)
    shutil.copytree(source.parent / "images", target / "images")
    for path in (source.parent / "labels").glob("*/*.txt"):
        lines = [_line(task, *map(float, line.split())) for line in path.read_text().splitlines()]
        copy = target / "labels" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("\n".join(lines))
    extra = "kpt_shape: [2, 3]\nflip_idx: [1, 0]\n" if task == "pose" else ""
    (target / "data.yaml").write_text(source.read_text() + extra)
    return str(target / "data.yaml")


def _line(task: str, index: float, x: float, y: float, w: float, h: float) -> str:
    left, right, top, bottom = max(x - w / 2, 0), min(x + w / 2, 1), max(y - h / 2, 0), min(y + h / 2, 1)
    if task == "pose":
        return f"{index:g} {x} {y} {w} {h} {left} {y} 2 {right} {y} 2"
    return f"{index:g} {left} {top} {right} {top} {right} {bottom} {left} {bottom}"


@pytest.mark.parametrize(
    ("task", "model", "fitness"),
    [
        ("segment", "yolo11n-seg.yaml", "mAP50(M) + mean(recall(M)) - AP[RBC]"),
        ("pose", "yolo11n-pose.yaml", "mAP50-95(P) - F1[WBC]"),
        ("obb", "yolo11n-obb.yaml", "min(AP50) - 2"),
        ("classify", "yolo11n-cls.yaml", "accuracy_top1 - 0.5*accuracy_top5"),
    ],
)
def test_every_task_has_its_metrics(
    task: str, model: str, fitness: str, trial: Any, bccd: Path, tmp_path: Path
) -> None:
    config = trial(model, Settings(fitness=fitness), epochs=1, data=task_data(task, bccd, tmp_path / "data"))
    (record,) = train(config, tmp_path / "run", threads=1, final_eval=False).records
    assert record.fitness == pytest.approx(parse_fitness(fitness)(record.metrics))
    names = [] if task == "classify" else ["RBC", "WBC", "Platelets"]
    named = {f"{name}[{label}]" for name in per_class(task) for label in names}
    assert set(record.metrics) == {*means(task), *named} - set(MEASURED), "what no expression asks for is not measured"


def test_results_csv_and_loggers_have_the_gradient_norm_and_the_share_of_clipped_steps(
    quick_args: Any, yolo_tiny: Path
) -> None:
    """Of every epoch, validated or not; a logger reads them from the trainer, a checkpoint keeps them."""
    trainer = compose(clip_grad_norm=0.5)(overrides=quick_args(yolo_tiny, epochs=3, val=False))
    logged: list[dict[str, float]] = []
    trainer.add_callback("on_fit_epoch_end", lambda trainer: logged.append(dict(trainer.metrics)))
    trainer.train()
    with trainer.csv.open() as file:
        rows = list(csv.DictReader(file))
    columns = ("gradient/norm", "gradient/norm_max", "gradient/clipped_share")
    for row, epoch in zip(rows, logged, strict=False):
        assert [float(row[c]) for c in columns] == pytest.approx([epoch[c] for c in columns], rel=1e-5)
    assert len({row["gradient/norm"] for row in rows}) == 3
    (record,) = trainer.records  # the last epoch is validated always
    assert [logged[2][column] for column in columns] == [record.grad_norm, record.grad_norm_max, record.clipped_share]
    assert torch_load(trainer.last)["train_metrics"]["gradient/norm"] == record.grad_norm


def test_results_csv_keeps_the_columns_of_its_first_line(quick_args: Any, yolo_tiny: Path) -> None:
    """Of a run that began with an earlier version, which wrote fewer."""
    trainer = compose()(overrides=quick_args(yolo_tiny, epochs=1))
    trainer.csv.write_text("epoch,time,metrics/F1(B),class/long gone\n1,0.5,0.25,0.5\n")
    trainer.train()
    with trainer.csv.open() as file:
        _, added = csv.DictReader(file)
    assert list(added) == ["epoch", "time", "metrics/F1(B)", "class/long gone"]
    assert float(added["metrics/F1(B)"]) == pytest.approx(trainer.records[0].metrics["F1"], rel=1e-5)
    assert added["class/long gone"] == "nan"


def test_results_csv_and_log_have_every_class(
    trial: Any, rtdetr_tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("ultralytics")
    logger.addHandler(caplog.handler)
    try:
        (first, second) = train(trial(rtdetr_tiny, epochs=2), tmp_path / "run", threads=1, final_eval=False).records
    finally:
        logger.removeHandler(caplog.handler)
    with (tmp_path / "run/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    for record, row in zip((first, second), rows, strict=True):
        for name, value in record.metrics.items():
            if "[" in name or name == "F1":
                assert float(row[column(name)]) == pytest.approx(value, rel=1e-5), name
    best = first if second.best_epoch == 1 else second
    assert f"Best epoch {best.epoch}" in caplog.text
    assert table(best.metrics, {0: "RBC", 1: "WBC", 2: "Platelets"}) in caplog.text

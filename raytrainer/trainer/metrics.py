"""Validation metrics by name, over all classes, from what an Ultralytics validator has computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

KINDS = {"box": "", "seg": "(M)", "pose": "(P)"}
"""Kinds of prediction of a validator's metrics, each with the suffix of its names."""
COLUMN_SUFFIX = {"": "(B)", "(M)": "(M)", "(P)": "(P)"}
"""The same in `results.csv`, where Ultralytics marks boxes too."""
PER_CLASS = {"precision": "p", "recall": "r", "F1": "f1", "AP50": "ap50", "AP": "ap"}
"""Metrics of a single class, each with the attribute of `ultralytics.utils.metrics.Metric` that holds it."""
SHOWN = ("precision", "recall", "F1", "AP50", "AP")
MEANS = {"precision": "precision", "recall": "recall", "F1": "F1", "AP50": "mAP50", "AP": "mAP50-95"}
"""The mean over classes that stands above each per-class metric."""


def named_metrics(metrics: Any, names: Mapping[int, str]) -> dict[str, float]:
    """Every metric of a finished validation, by the names of the fitness expression, unrounded.

    Args:
        metrics: the validator's metrics of any task.
        names: class names by index.

    Returns:
        For tasks with boxes the means over the classes of the validation labels, a missed class counting as 0, and
        each class's own; NaN for a class without a label. For other tasks what Ultralytics computes, such as
        `accuracy_top1`.
    """
    kinds = _kinds(metrics)
    if not kinds:
        return {k.removeprefix("metrics/"): float(v) for k, v in metrics.results_dict.items() if k != "fitness"}
    named: dict[str, float] = {}
    for suffix, metric in kinds.items():
        named |= _means(metric, suffix)
        named |= _per_class(metric, suffix, names)
    return named


def _kinds(metrics: Any) -> dict[str, Any]:
    return {suffix: getattr(metrics, kind) for kind, suffix in KINDS.items() if hasattr(metrics, kind)}


def _means(metric: Any, suffix: str) -> dict[str, float]:
    """Means over the classes that have labels, which is what `ap_class_index` lists, predicted or not.

    Dropping the classes with an F1 of 0, as the upstream guide does, would hide those that the model misses.
    """
    f1 = float(metric.f1.mean()) if len(metric.f1) else 0.0
    means = {"precision": metric.mp, "recall": metric.mr, "mAP50": metric.map50, "mAP50-95": metric.map, "F1": f1}
    return {name + suffix: float(value) for name, value in means.items()}


def _per_class(metric: Any, suffix: str, names: Mapping[int, str]) -> dict[str, float]:
    place = {int(index): i for i, index in enumerate(metric.ap_class_index)}
    return {
        f"{name}{suffix}[{label}]": float(getattr(metric, attribute)[place[index]]) if index in place else math.nan
        for name, attribute in PER_CLASS.items()
        for index, label in names.items()
    }


def column(name: str) -> str:
    """The column of `results.csv` and key of `trainer.metrics` for a metric that Ultralytics does not have itself.

    A class's metrics keep clear of the word `metrics`: Ultralytics draws every column with it into one figure.
    """
    metric, bracket, label = name.partition("[")
    kind = next((s for s in COLUMN_SUFFIX if s and metric.endswith(s)), "")
    metric = metric.removesuffix(kind) + COLUMN_SUFFIX[kind]
    return f"class/{metric}/{_plain(label.removesuffix(']'))}" if bracket else f"metrics/{metric}"


def _plain(label: str) -> str:
    """A class name fit for the header of Ultralytics' comma-separated file, which quotes nothing."""
    return "".join(" " if c in ',"\r\n' else c for c in label)


def added_columns(named: Mapping[str, float]) -> dict[str, float]:
    """Columns for the metrics that Ultralytics does not write itself: the mean F1, and everything by class."""
    return {column(name): value for name, value in named.items() if "[" in name or name.startswith("F1")}


def metric_names(metrics: Any, names: Mapping[int, str]) -> list[str]:
    """The names that `named_metrics` will give after a validation, in their order, known before the first one."""
    return list(named_metrics(metrics, names))


def table(named: Mapping[str, float], names: Mapping[int, str]) -> str:
    """A table of the classes by name, for the log; empty if the task has no metrics by class."""
    suffixes = [suffix for suffix in KINDS.values() if "F1" + suffix in named]
    return "\n".join(_table_of(named, names, suffix) for suffix in suffixes)


def _table_of(named: Mapping[str, float], names: Mapping[int, str], suffix: str) -> str:
    width = max(len(label) for label in (*names.values(), "class (M)")) + 2
    head = f"class {suffix}".ljust(width) + "".join(name.rjust(11) for name in SHOWN)
    means = _row("all", [named[MEANS[name] + suffix] for name in SHOWN], width)
    return "\n".join(
        [head, means, *(_row(n, [named[f"{m}{suffix}[{n}]"] for m in SHOWN], width) for n in names.values())]
    )


def _row(label: str, values: Iterable[float], width: int) -> str:
    cells = ("no labels" if math.isnan(value) else f"{value:.4f}" for value in values)
    return label.ljust(width) + "".join(cell.rjust(11) for cell in cells)

"""The names of metrics in a fitness expression and in an epoch's record, by task."""

from __future__ import annotations

import re
from collections.abc import Iterable

MEANS = ("mAP50-95", "mAP50", "precision", "recall", "F1")
"""Over all classes."""
PER_CLASS = ("AP50", "AP", "precision", "recall", "F1")
"""Of one class, `AP[name]`."""
ACCURACIES = ("accuracy_top1", "accuracy_top5")
"""Of a classifier, the only ones that it has."""

SUFFIXES: dict[str, tuple[str, ...]] = {
    "detect": ("",),
    "obb": ("",),
    "segment": ("", "(M)"),
    "pose": ("", "(P)"),
}
"""Kinds of prediction of a task: boxes, masks `(M)`, keypoints `(P)`. Other tasks have no metrics of boxes."""

STOCK = "0.9*mAP50-95 + 0.1*mAP50"
"""The default of a space. Ultralytics 8.4.190 weighs mAP50-95 alone (`Metric.fitness` in utils/metrics.py)."""
STOCK_OF_TASK: dict[str, str] = {
    "segment": f"{STOCK} + 0.9*mAP50-95(M) + 0.1*mAP50(M)",  # SegmentMetrics.fitness
    "pose": f"{STOCK} + 0.9*mAP50-95(P) + 0.1*mAP50(P)",  # PoseMetrics.fitness
    "classify": "0.5*accuracy_top1 + 0.5*accuracy_top5",  # ClassifyMetrics.fitness
}
"""The default fitness of tasks where it is another one; the metrics are those of the stock fitness."""


def canonical(name: str) -> str:
    """The name that records use: Ultralytics' `metrics/mAP50(B)` is `mAP50`."""
    return name.removeprefix("metrics/").removesuffix("(B)")


def means(task: str | None = None) -> list[str]:
    """Names of metrics over all classes, of one task or of all."""
    return ([] if task == "classify" else _with_suffixes(MEANS, task)) + _accuracies(task)


def per_class(task: str | None = None) -> list[str]:
    """Names of metrics of one class, of one task or of all."""
    return [] if task == "classify" else _with_suffixes(PER_CLASS, task)


def pattern() -> re.Pattern[str]:
    """Matches a metric's name, the longest first, or else any word that stands in its place."""
    known = sorted({*MEANS, *PER_CLASS, *ACCURACIES}, key=len, reverse=True)
    names = "|".join(re.escape(name) for name in known)
    return re.compile(rf"(?:metrics/)?(?:(?:{names})(?![A-Za-z0-9_])|[A-Za-z_]\w*)(?:\([BMP]\))?")


def _with_suffixes(names: Iterable[str], task: str | None) -> list[str]:
    every = dict.fromkeys(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    suffixes = every if task is None else SUFFIXES.get(task, ())
    return [name + suffix for suffix in suffixes for name in names]


def _accuracies(task: str | None) -> list[str]:
    return list(ACCURACIES) if task in (None, "classify") else []

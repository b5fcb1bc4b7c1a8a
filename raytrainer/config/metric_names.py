"""The names of metrics in a fitness expression and in an epoch's record, by task."""

from __future__ import annotations

import re
from collections.abc import Iterable

MEANS = ("mAP50-95", "mAP50", "precision", "recall", "F1")
"""Over all classes."""
PER_CLASS = ("AP50", "AP", "precision", "recall", "F1")
"""Of one class, `AP[name]`."""
ACCURACIES = ("accuracy_top1", "accuracy_top5")
"""Of a classifier, the only ones of its validation."""
MEASURED = ("latency_ms", "params", "GFLOPs")
"""Of an architecture, in every task: known before the first epoch, and the same at each (`trainer.measured`)."""

SUFFIXES: dict[str, tuple[str, ...]] = {
    "detect": ("",),
    "obb": ("",),
    "segment": ("", "(M)"),
    "pose": ("", "(P)"),
}
"""Kinds of prediction of a task: boxes, masks `(M)`, keypoints `(P)`. Other tasks have no metrics of boxes."""

DEFAULT = "0.9*mAP50-95 + 0.1*mAP50"
"""The default fitness. The stock one of Ultralytics 8.4.190 is mAP50-95 alone (`Metric.fitness`, utils/metrics.py)."""
DEFAULT_OF_TASK: dict[str, str] = {
    "segment": f"{DEFAULT} + 0.9*mAP50-95(M) + 0.1*mAP50(M)",
    "pose": f"{DEFAULT} + 0.9*mAP50-95(P) + 0.1*mAP50(P)",
    "classify": "0.5*accuracy_top1 + 0.5*accuracy_top5",
}
"""The default fitness of other tasks: over boxes and masks or keypoints, as the stock ones of these tasks are sums of
both (`SegmentMetrics`, `PoseMetrics`); that of a classifier is the stock one (`ClassifyMetrics`)."""


def default_fitness(task: str | None) -> str:
    """The fitness of a task that none was asked for; of detection if the task is not known."""
    return DEFAULT_OF_TASK.get(task or "detect", DEFAULT)


def canonical(name: str) -> str:
    """The name that records use: Ultralytics' `metrics/mAP50(B)` is `mAP50`."""
    return name.removeprefix("metrics/").removesuffix("(B)")


def means(task: str | None = None) -> list[str]:
    """Names of metrics that are of no class, of one task or of all."""
    return ([] if task == "classify" else _with_suffixes(MEANS, task)) + _accuracies(task) + list(MEASURED)


def per_class(task: str | None = None) -> list[str]:
    """Names of metrics of one class, of one task or of all."""
    return [] if task == "classify" else _with_suffixes(PER_CLASS, task)


def pattern() -> re.Pattern[str]:
    """Matches a metric's name, the longest first, or else any word that stands in its place."""
    known = sorted({*MEANS, *PER_CLASS, *ACCURACIES, *MEASURED}, key=len, reverse=True)
    names = "|".join(re.escape(name) for name in known)
    return re.compile(rf"(?:metrics/)?(?:(?:{names})(?![A-Za-z0-9_])|[A-Za-z_]\w*)(?:\([BMP]\))?")


def _with_suffixes(names: Iterable[str], task: str | None) -> list[str]:
    every = dict.fromkeys(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    suffixes = every if task is None else SUFFIXES.get(task, ())
    return [name + suffix for suffix in suffixes for name in names]


def _accuracies(task: str | None) -> list[str]:
    return list(ACCURACIES) if task in (None, "classify") else []

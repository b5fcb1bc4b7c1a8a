"""The conformance table: what is customised, on which model, from which start, on how many ranks.

To add a customisation is to add a row to `CUSTOMISATIONS`: what may be asked of it, with nothing first, and the check
of what it does, which every row of the table goes through, whether or not it asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import conformance_checks as checks
from .covering import covering_array

Options = tuple[Mapping[str, Any], ...]
BY_EPOCH = f"{Path(__file__).with_name('fitness_by_epoch.py')}:score"

CUSTOMISATIONS: Mapping[str, tuple[Options, checks.Check]] = {
    "ratio": (({}, {"backbone_lr_ratio": 0.1}), checks.rates_keep_their_ratio),
    "decay": (({}, {"layer_decay": 0.8}), checks.rates_keep_their_ratio),
    "norm": (({}, {"clip_grad_norm": 0.1}, {"clip_grad_norm": 0}), checks.gradients_are_bounded),
    "value": (({}, {"clip_grad_value": 1e-3}), checks.gradients_are_bounded),
    "freeze": (
        (
            {},
            {"freeze": "backbone", "unfreeze_epoch": 2},
            {"freeze": 3, "unfreeze_epoch": 1, "unfreeze_every": 1},
        ),
        checks.what_is_frozen_stands_still,
    ),
    "weights": (
        (
            {},
            {"class_weights": "inverse_frequency", "class_weights_power": 0.5, "class_weight_offsets": {"WBC": 0.3}},
            {"class_weights": {"WBC": 2.0}, "positives_only": True, "normalize_class_weights": False},
        ),
        checks.classes_have_their_weights,
    ),
    "fitness": (
        ({}, {"fitness": BY_EPOCH}, {"fitness": "min(recall) + mAP50 - 2"}),
        checks.best_is_best_by_the_fitness,
    ),
    "subject_to": (
        ({}, {"subject_to": ["precision + recall > 3"]}, {"subject_to": ["params < 1e9", "GFLOPs > 0"]}),
        checks.best_is_best_by_the_fitness,
    ),
    "sync_bn": (({}, {"sync_bn": "auto"}), checks.a_cpu_synchronises_nothing),
    "on_nan": (({}, {"on_nan": "fail"}), checks.trains),
    "checkpoints": (({}, {"checkpoint_every": 2}, {"checkpoint_every": "60min"}), checks.checkpoints_come_when_due),
}
TRAINING: Mapping[str, Options] = {
    "optimizer": ({"optimizer": "AdamW"}, {"optimizer": "SGD", "lr0": 0.01}, {"optimizer": "MuSGD", "lr0": 0.01}),
    # Resumed where a step comes only with the second batch, or in the middle of an accumulation.
    "steps": ({"nbs": 4}, {"nbs": 8}, {"nbs": 12, "cos_lr": True}),
}
"""Arguments of Ultralytics that share the optimizer and the loop with the customisations."""
MODELS = ("yolov8n.yaml", "yolo11n.yaml", "yolo26n.yaml", "rtdetr-tiny.yaml")
STARTS: Mapping[str, int | None] = {"fresh": None, "before the unfreeze": 1, "after the unfreeze": 3}
"""After which epoch the run is interrupted."""
RANKS = (1, 2)
EPOCHS = 4
QUICK = {
    "imgsz": 64, "epochs": EPOCHS, "batch": 4, "device": "cpu", "lr0": 0.002, "amp": False, "plots": False,
    "verbose": False, "seed": 0, "pretrained": False, "warmup_epochs": 2, "close_mosaic": 2,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Row:
    """One line of the table."""

    name: str
    model: str
    start: str
    ranks: int
    train: Mapping[str, Any]
    settings: Mapping[str, Any]


FACTORS: Mapping[str, int] = {
    "ranks": len(RANKS),
    "model": len(MODELS),
    "start": len(STARTS),
    **{name: len(options) for name, (options, _) in CUSTOMISATIONS.items()},
    **{name: len(options) for name, options in TRAINING.items()},
}

TOGETHER = ("model", "start", "ranks")
"""Of these there is every combination."""


def _row(number: int, choice: Mapping[str, int]) -> Row:
    model, start, ranks = MODELS[choice["model"]], list(STARTS)[choice["start"]], RANKS[choice["ranks"]]
    return Row(
        f"{number:02}-{model.partition('.')[0]}-{start}-{ranks}-rank{'s' * (ranks > 1)}".replace(" ", "-"),
        model,
        start,
        ranks,
        QUICK | _merged(options[choice[name]] for name, options in TRAINING.items()),
        _merged(options[choice[name]] for name, (options, _) in CUSTOMISATIONS.items()),
    )


def _alone() -> list[Row]:
    """Every customisation without company, on the smallest model: a fault there is none of the combination."""
    train = QUICK | _merged(options[0] for options in TRAINING.values())
    return [
        Row(f"alone-{name}-{option}", "yolo-tiny.yaml", "fresh", 1, train, options[option])
        for name, (options, _) in CUSTOMISATIONS.items()
        for option in range(1, len(options))
    ]


def _merged(options: Any) -> dict[str, Any]:
    return {key: value for option in options for key, value in option.items()}


ARRAY = covering_array(FACTORS, TOGETHER)
ROWS = [*_alone(), *(_row(number, choice) for number, choice in enumerate(ARRAY, 1))]
CHECKS: tuple[Callable[[checks.Outcome], None], ...] = tuple(
    dict.fromkeys(
        (
            checks.trains,
            checks.every_parameter_is_grouped_once,
            checks.replicas_are_equal,
            checks.every_epoch_is_recorded_once,
            checks.a_resumed_run_is_the_uninterrupted_one,
            checks.checkpoints_load_in_stock_ultralytics,
            *(check for _, check in CUSTOMISATIONS.values()),
        )
    )
)

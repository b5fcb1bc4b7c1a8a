"""Training arguments that a space file does not fix, and names that it does not search, each with the reason."""

from __future__ import annotations

from functools import cache

from raytrainer.config.document import CLASS_OFFSETS
from raytrainer.config.settings import Settings
from raytrainer.config.ultralytics_arguments import arguments
from raytrainer.config.values import Schema

NOT_FIXED: dict[str, str] = {
    "model": "stands at the top of the file, not under train:",
    "data": "stands at the top of the file, not under train:",
    "task": "follows from the model",
    "mode": "is always train",
    "project": "follows from storage: and name: at the top of the file",
    "name": "stands at the top of the file, not under train:",
    "exist_ok": "follows from the study: every trial has its own folder",
    "save_dir": "follows from the study: every trial has its own folder",
    "resume": "is not needed: a trial that was interrupted goes on by itself",
    "cfg": "is not read: write its arguments under train:",
    "time": "replaces epochs, so trials could not be compared; search.budget.wall bounds the search",
}
"""Arguments that have another place, or would break a study."""

ONLY: dict[str, tuple[bool, str]] = {
    "val": (True, "the search needs every epoch's metrics"),
    "save": (True, "a trial goes on from its last epoch after an interruption"),
}
"""Arguments with one value that a study can work with."""

DEVICES: Schema = {"enum": ["cpu", "mps", None]}
"""Which GPUs a trial gets is for `resources.gpus` to say."""

AT_THE_TOP = ("fitness", "subject_to")
"""Settings of the trainer that stand at the top of a space file."""

LENGTH = "decides how long a trial trains, so trials could not be compared"
SPEED = "changes the speed, not the model"
OUTPUT = "changes what is written, not the model"
MEASURE = "changes what is measured or on which images, so trials could not be compared"

NOT_SEARCHED: dict[str, str] = {
    **{name: f"cannot be searched: it {why}" for name, why in NOT_FIXED.items()},
    **dict.fromkeys(("epochs", "patience"), f"cannot be searched: it {LENGTH}"),
    **dict.fromkeys(("workers", "cache", "device", "deterministic", "compile", "channels_last", "profile"),
                    f"cannot be searched: it {SPEED}"),
    **dict.fromkeys(("save", "save_period", "verbose"), f"cannot be searched: it {OUTPUT}"),
    **dict.fromkeys(("fraction", "single_cls", "classes", "val", "split", "conf", "iou", "max_det"),
                    f"cannot be searched: it {MEASURE}"),
    "seed": "cannot be searched: a lucky seed is no setting; search.seed and train.seed fix it",
    "fitness": "cannot be searched: it is what the search compares",
    "subject_to": "cannot be searched: it is what the search has to keep",
    "on_nan": "cannot be searched: it decides what happens to a trial that failed",
    "distill_model": "cannot be searched: fix it under train:",
    CLASS_OFFSETS: f"cannot be searched as a whole; {CLASS_OFFSETS}.<name> searches one class's",
    "pretrained": "cannot be searched: it decides what the model starts from, as model: does",
}  # fmt: skip


def fixed_arguments() -> dict[str, Schema]:
    """Training arguments that may stand under `train:`, each with the schema of its values."""
    schemas = {name: argument.schema for name, argument in arguments().items() if name not in NOT_FIXED}
    return schemas | {"device": DEVICES}


def trainer_settings() -> dict[str, Schema]:
    """Settings that may stand under `trainer:`, each with the schema of its values."""
    return {name: schema for name, schema in _settings().items() if name not in AT_THE_TOP}


@cache
def searched() -> dict[str, Schema]:
    """Names that may stand under `space:`, but for `class_weights.<name>`, each with the schema of its values.

    A setting comes before the training argument of the same name, of which it allows all values (`freeze`).
    """
    trained = {name: argument.schema for name, argument in arguments().items() if argument.trains}
    return {name: schema for name, schema in (trained | _settings()).items() if name not in NOT_SEARCHED}


def why_not_searched(name: str) -> str | None:
    """Why a name that exists cannot be searched; None if it can be, or does not exist."""
    if name in NOT_SEARCHED:
        return NOT_SEARCHED[name]
    argument = arguments().get(name)
    if argument is None or argument.trains or name in searched():
        return None
    return f"cannot be searched: it concerns {argument.section.lower()}, not training"


@cache
def _settings() -> dict[str, Schema]:
    properties: dict[str, Schema] = Settings.model_json_schema()["properties"]
    return properties

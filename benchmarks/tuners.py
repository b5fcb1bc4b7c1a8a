"""What three tuners find on real images with the same number of epochs: this one and both of Ultralytics' own.

The blood cells, a pretrained YOLOv5n, the same six parameters and ranges, and the same defaults, which this tuner and
the genetic one begin with. Each study trains one trial at a time on one thread. What a tuner has found is the best.pt
that it leaves, validated once more in the same way for all: on the images that it was chosen by, and on others that no
tuner has seen. A study is kept in a file when it ends; the same command later goes on from there.
"""

from __future__ import annotations

import csv
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import BLOOD_CELLS, PRETRAINED, Kept, fresh, mean_and_spread, options, publish, standard_error, table

RANGES: dict[str, tuple[float, float, float]] = {
    "lr0": (1e-4, 1e-2, 2e-3),
    "weight_decay": (0.0, 1e-3, 5e-4),
    "cls_pw": (0.0, 1.0, 0.0),
    "box": (1.0, 20.0, 7.5),
    "cls": (0.1, 4.0, 0.5),
    "warmup_epochs": (0.0, 5.0, 3.0),
}
"""Lowest and highest value, and the default. The learning rate is searched on a log scale where a tuner can."""
LOG = ("lr0",)
METRIC = "metrics/mAP50-95(B)"


@dataclass(frozen=True)
class Task:
    """One study."""

    data: str
    folder: str
    seed: int
    epochs: int
    """Of a trial at its full length."""
    budget: int
    """Epochs of all trials together."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Ultralytics arguments of every training."""
        return {
            "epochs": self.epochs, "imgsz": 160, "batch": 8, "optimizer": "AdamW", "mosaic": 0.0, "workers": 0,
            "device": "cpu", "amp": False, "plots": False, "verbose": False, "seed": self.seed,
        }  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a study came to."""

    weights: str
    trials: int
    epochs: int


def ours(task: Task) -> Found:
    """Through this tuner."""
    import yaml

    from raytrainer.api import run_study
    from raytrainer.config.load import load_space

    ranges = {
        name: {"low": low, "high": high, "default": default, "log": name in LOG}
        for name, (low, high, default) in RANGES.items()
    }
    space = {
        "model": str(PRETRAINED), "data": task.data, "fitness": "mAP50-95", "train": task.arguments, "space": ranges,
        "search": {"seed": task.seed, "budget": {"epochs": task.budget}},
        "resources": {"cpus": 1, "gpus": 0, "max_concurrent": 1}, "storage": task.folder,
    }  # fmt: skip
    file = Path(task.folder) / "cells.yaml"
    file.write_text(yaml.safe_dump(space))
    outcome = run_study(load_space(file))
    if outcome.best is None:
        raise RuntimeError("no trial has a fitness")
    return Found(str(outcome.best.weights), len(outcome.trials), sum(len(view.values) for view in outcome.trials))


def with_ray(task: Task) -> Found:
    """Through `model.tune(use_ray=True)`, which stops no trial before its tenth epoch unless it is told to."""
    import ray
    from ray import tune
    from ultralytics import YOLO

    space = {n: (tune.loguniform if n in LOG else tune.uniform)(low, high) for n, (low, high, _) in RANGES.items()}
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_folder:
        ray.init(address="local", num_cpus=1, _temp_dir=ray_folder, log_to_driver=False)
        YOLO(PRETRAINED).tune(
            use_ray=True, space=space, iterations=task.budget // task.epochs, data=task.data,
            project=task.folder, **task.arguments,
        )  # fmt: skip
        ray.shutdown()
    curves = {
        log: [float(row[METRIC]) for row in csv.DictReader(log.open(), skipinitialspace=True)]
        for log in Path(task.folder).rglob("results.csv")
    }
    best = max(curves, key=lambda log: max(curves[log], default=0.0))
    return Found(str(best.parent / "weights" / "best.pt"), len(curves), sum(map(len, curves.values())))


def genetic(task: Task) -> Found:
    """Through `model.tune()`, which trains every trial at full length."""
    from ultralytics import YOLO

    trials = task.budget // task.epochs
    space = {name: (low, high) for name, (low, high, _) in RANGES.items()}
    defaults = {name: default for name, (*_, default) in RANGES.items()}
    YOLO(PRETRAINED).tune(
        space=space, iterations=trials, data=task.data, project=task.folder, name="tuned", **defaults, **task.arguments
    )
    folder = next(Path(task.folder).rglob("tune_results.ndjson")).parent
    done = [json.loads(line) for line in (folder / "tune_results.ndjson").read_text().splitlines()]
    return Found(str(folder / "weights" / "best.pt"), len(done), len(done) * task.epochs)


TUNERS: dict[str, Callable[[Task], Found]] = {
    "this tuner": ours,
    "model.tune(use_ray=True)": with_ray,
    "model.tune()": genetic,
}
SPLITS = {"val": "mAP50-95 that it was chosen by", "test": "on images unseen"}


def run(tuner: str, task: Task) -> dict[str, Any]:
    """One study, and what its best.pt is worth on either split."""
    from ultralytics import YOLO

    from raytrainer.trainer.environment import prepare_process

    prepare_process(offline=True)
    found = TUNERS[tuner](task)
    scores = {
        split: YOLO(found.weights).val(
            data=task.data, split=split, imgsz=160, device="cpu", workers=0, plots=False, verbose=False,
            project=task.folder, name=split,
        ).box.map
        for split in SPLITS
    }  # fmt: skip
    return {**scores, "trials": found.trials, "epochs": found.epochs}


def measured(tuner: str, seed: int, epochs: int, budget: int) -> dict[str, Any]:
    """In a process and a folder of its own."""
    from shutil import copytree, ignore_patterns

    with tempfile.TemporaryDirectory(prefix="tuners-", ignore_cleanup_errors=True) as folder:
        data = copytree(BLOOD_CELLS.parent, Path(folder) / "cells", ignore=ignore_patterns("*.cache"))
        made = Path(folder) / "study"
        made.mkdir()
        result, _ = fresh(run, tuner, Task(str(data / "data.yaml"), str(made), seed, epochs, budget))
        return result


def rows(results: dict[str, list[dict[str, Any]]]) -> Iterator[list[str]]:
    """One a tuner: what it found, and how much less than this one did, seed by seed."""
    mine = results["this tuner"]
    for tuner, found in results.items():
        cells = []
        for split in SPLITS:
            differences = [other[split] - own[split] for own, other in zip(mine, found, strict=True)]
            against = f"{statistics.fmean(differences):+.3f} ± {standard_error(differences):.3f}"
            cells += [mean_and_spread([each[split] for each in found]), "" if found is mine else against]
        counts = (f"{statistics.fmean(each[key] for each in found):.0f}" for key in ("trials", "epochs"))
        yield [tuner, *cells, *counts]


def main() -> None:
    """Run every study that is not kept yet, and print the table."""
    parser = options((__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6, help="of a trial at its full length")
    parser.add_argument("--budget", type=int, default=96, help="epochs of a study")
    parser.add_argument("--at-once", type=int, default=2, help="studies side by side")
    parser.add_argument(
        "--kept", type=Path, default=Path(tempfile.gettempdir()) / "tuners.jsonl", help="studies so far"
    )
    chosen = parser.parse_args()
    kept = Kept(chosen.kept)

    def result(tuner: str, seed: int) -> dict[str, Any]:
        setting = {"tuner": tuner, "seed": seed, "epochs": chosen.epochs, "budget": chosen.budget}
        return kept.get(setting, lambda: measured(tuner, **{key: setting[key] for key in setting if key != "tuner"}))

    with ThreadPoolExecutor(chosen.at_once) as pool:
        asked = [(tuner, seed) for seed in range(chosen.seeds) for tuner in TUNERS]
        found = dict(zip(asked, pool.map(result, *zip(*asked, strict=True)), strict=True))
    results = {tuner: [found[tuner, seed] for seed in range(chosen.seeds)] for tuner in TUNERS}
    header = ["tuner"]
    for words in SPLITS.values():
        header += [words, "less this tuner's"]
    note = f"Mean ± standard deviation over {chosen.seeds} seeds; differences are paired by seed, ± standard error."
    made = table([*header, "trials", "epochs"], rows(results))
    publish("tuners", f"{made}\n\n{note}", write=chosen.write)


if __name__ == "__main__":
    main()

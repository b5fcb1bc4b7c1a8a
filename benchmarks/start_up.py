"""How long trials wait before their first batch: here with one rank and with two, and in `model.tune(use_ray=True)`.

The first trial's wait counts from the start of the driver's process: Ray starts, the libraries are imported, and this
tuner tries a batch. A later trial's counts from the end of the epoch before it, one trial at a time: the result
reaches the driver, the search chooses the next configuration, and it comes to a process, which this tuner reuses and
the peer starts afresh. All processes of all ways note their batches by the same few lines.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from measuring import BLOOD_CELLS, fresh, options, publish, subset, table

LOWEST_RATE, HIGHEST_RATE = 1e-4, 1e-2
LOG = "START_UP_LOG"
"""Environment variable: the file that takes a line for every event."""
NOTING = '''
import importlib.machinery, os, sys, time

class Noting(importlib.machinery.PathFinder):
    """Notes the first batch and the end of the only epoch of every training in this process."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        spec = super().find_spec(name, path, target) if name == "ultralytics.engine.trainer" else None
        if spec is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (execute(module), note_in(module.BaseTrainer))
        return spec

def note_in(trainer_class):
    run = trainer_class.run_callbacks
    def run_and_note(self, event):
        if event == "on_train_batch_start" and not vars(self).setdefault("_noted", False):
            self._noted = True
            note("batch")
        if event == "on_fit_epoch_end":
            note("end")
        run(self, event)
    trainer_class.run_callbacks = run_and_note

def note(event):
    if os.environ.get("RANK", "0") in ("0", "-1"):
        with open(os.environ["START_UP_LOG"], "a") as file:
            file.write(f"{event} {time.time()}\\n")

sys.meta_path.insert(0, Noting)
'''
"""Run by every Python process when it starts."""


@dataclass(frozen=True)
class Task:
    """What every way of running the trials is given."""

    model: str
    data: str
    folder: str
    trials: int
    imgsz: int

    @property
    def arguments(self) -> dict[str, object]:
        """Ultralytics arguments of every training but for the learning rate."""
        return {
            "epochs": 1, "imgsz": self.imgsz, "batch": 16, "optimizer": "AdamW", "workers": 0, "plots": False,
            "device": "cpu", "amp": False, "verbose": False, "seed": 0,
        }  # fmt: skip


def ours(task: Task, ranks: int) -> None:
    """Through this tuner."""
    from raytrainer.api import run_study
    from raytrainer.config.load import load_space

    space = {
        "model": task.model, "data": task.data, "train": task.arguments, "storage": task.folder, "name": "ours",
        "search": {"trials": task.trials, "pruner": "none"},
        "resources": {"cpus": ranks, "gpus": 0, "ranks": ranks, "max_concurrent": 1},
        "space": {"lr0": {"low": LOWEST_RATE, "high": HIGHEST_RATE, "log": True}},
    }  # fmt: skip
    file = Path(task.folder) / "ours.yaml"
    file.write_text(yaml.safe_dump(space))
    outcome = run_study(load_space(file))
    if not all(view.state == "complete" for view in outcome.trials):
        raise RuntimeError(f"a trial failed: {outcome.frame}")


def peer(task: Task) -> None:
    """Through Ultralytics' own tuner on Ray Tune, one CPU in all, so that one trial runs at a time."""
    import ray
    from ray import tune
    from ultralytics import YOLO

    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_folder:
        ray.init(address="local", num_cpus=1, _temp_dir=ray_folder, log_to_driver=False)
        results = YOLO(task.model).tune(
            use_ray=True, data=task.data, space={"lr0": tune.loguniform(LOWEST_RATE, HIGHEST_RATE)},
            iterations=task.trials, grace_period=1, project=task.folder, **task.arguments,
        )  # fmt: skip
        ray.shutdown()
    if results.errors:
        raise RuntimeError(f"a trial of the peer failed: {results.errors[0]}")


WAYS: dict[str, Callable[[Task], None]] = {
    "this tuner, 1 rank": partial(ours, ranks=1),
    "this tuner, 2 ranks": partial(ours, ranks=2),
    "model.tune(use_ray=True)": peer,
}


@dataclass(frozen=True)
class Waits:
    """Seconds to the first batch."""

    first: float
    later: list[float]
    """Of each trial but the first."""


def measure(way: Callable[[Task], None], task: Task) -> Waits:
    """Run the trials and read off their waits.

    Raises:
        RuntimeError: if a training did not come to its end.
    """
    log = Path(task.folder) / "events"
    os.environ[LOG] = str(log)
    begun = time.time()
    fresh(way, task)
    events = [(kind, float(moment)) for kind, moment in map(str.split, log.read_text().splitlines())]
    ends = [place for place, (kind, _) in enumerate(events) if kind == "end"]
    if len(ends) != task.trials:
        raise RuntimeError(f"{len(ends)} of {task.trials} trainings came to their end")
    # Before the first end there are the batch that is only tried, if there is one, and then the first trial's.
    first = max(moment for kind, moment in events[: ends[0]] if kind == "batch")
    return Waits(first - begun, [events[end + 1][1] - events[end][1] for end in ends[:-1]])


def rows(measured: dict[str, Waits]) -> list[list[str]]:
    """The first wait, the median of the others with their range, and both beside the peer's."""
    peers = measured["model.tune(use_ray=True)"]
    made = []
    for name, waits in measured.items():
        later, reference = statistics.median(waits.later), statistics.median(peers.later)
        spread = f"{min(waits.later):.2f} to {max(waits.later):.2f}"
        ratios = f"{waits.first / peers.first:.2f}", f"{later / reference:.2f}"
        made.append([name, f"{waits.first:.1f}", ratios[0], f"{later:.2f}", spread, ratios[1]])
    return made


def main() -> None:
    """Run every way and print the table."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, default=BLOOD_CELLS)
    parser.add_argument("--model", default="yolov8n.yaml")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--imgsz", type=int, default=64)
    chosen = parser.parse_args()
    from raytrainer.trainer.environment import prepare_process

    prepare_process(offline=True)
    measured = {}
    for name, way in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "sitecustomize.py").write_text(NOTING)
            os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
            data = subset(chosen.data, Path(folder) / "data", train=32, val=16)
            measured[name] = measure(way, Task(chosen.model, str(data), folder, chosen.trials, chosen.imgsz))
    header = ["", "first, s", "of the peer's", "later, median s", "range", "of the peer's"]
    note = f"{chosen.trials} trials of an epoch on 32 images at {chosen.imgsz} pixels, one after another."
    publish("start_up", f"{table(header, rows(measured))}\n\n{note}", write=chosen.write)


if __name__ == "__main__":
    main()

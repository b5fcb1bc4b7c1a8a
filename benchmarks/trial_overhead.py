"""What a tuner adds to its trials: this one, `model.tune(use_ray=True)` and no tuner at all, in one run.

The same short trainings, without early stopping, each way in processes of its own, timed from the start of the driver's
process to its end. The bare trainings run one after another in as many processes as the tuners run trials at once. CPU
seconds are those of all processes together: on a machine that others use too, they are the steadier figure.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cpu_time import CpuTime
from measuring import BLOOD_CELLS, fresh, options, publish, subset, table

LOWEST_RATE, HIGHEST_RATE = 1e-4, 1e-2


@dataclass(frozen=True)
class Task:
    """What every way of running the trials is given."""

    model: str
    data: str
    folder: str
    trials: int
    epochs: int
    imgsz: int
    threads: int
    """CPUs of a trial: what Ultralytics gives one under Ray Tune, `NUM_THREADS` in ultralytics/utils/__init__.py."""

    @property
    def at_once(self) -> int:
        """Trials that fit on this machine at that size."""
        return max(1, (os.cpu_count() or 1) // self.threads)

    @property
    def arguments(self) -> dict[str, Any]:
        """Ultralytics arguments of every training but for the learning rate."""
        return {
            "data": self.data, "epochs": self.epochs, "imgsz": self.imgsz, "batch": 16, "optimizer": "AdamW",
            "workers": 0, "plots": False, "device": "cpu", "amp": False, "verbose": False, "seed": 0,
        }  # fmt: skip


Ends = list[float]
"""When each trial ended, in seconds, earliest first."""


def ours(task: Task) -> Ends:
    """Through this tuner."""
    import yaml

    from raytrainer.api import run_study
    from raytrainer.config.load import load_space

    file = Path(task.folder) / "overhead.yaml"
    fixed = {name: value for name, value in task.arguments.items() if name != "data"}
    space = {
        "model": task.model, "data": task.data, "train": fixed,
        "search": {"trials": task.trials, "pruner": "none"}, "resources": {"cpus": task.threads, "gpus": 0},
        "space": {"lr0": {"low": LOWEST_RATE, "high": HIGHEST_RATE, "log": True}}, "storage": f"{task.folder}/ours",
    }  # fmt: skip
    file.write_text(yaml.safe_dump(space))
    outcome = run_study(load_space(file))
    return sorted(view.ended.timestamp() for view in outcome.trials if view.ended and view.state == "complete")


def peer(task: Task) -> Ends:
    """Through Ultralytics' own tuner on Ray Tune, as its documentation starts it, in a Ray session of its own."""
    import ray
    from ray import tune
    from ultralytics import YOLO

    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_folder:
        ray.init(address="local", _temp_dir=ray_folder, log_to_driver=False)
        results = YOLO(task.model).tune(
            use_ray=True,
            space={"lr0": tune.loguniform(LOWEST_RATE, HIGHEST_RATE)},
            iterations=task.trials,
            grace_period=task.epochs,
            project=f"{task.folder}/peer",
            **task.arguments,
        )
        ray.shutdown()  # before its folder goes
    if errors := results.errors:
        raise RuntimeError(f"{len(errors)} of the peer's trials failed, the first with {errors[0]}")
    # Ray tells the time of a report in whole seconds; Ultralytics writes this file right before it reports.
    return sorted(file.stat().st_mtime for file in Path(task.folder, "peer").rglob("results.csv"))


def bare(task: Task) -> Ends:
    """Without a tuner."""
    processes = task.at_once
    shares = [len(range(first, task.trials, processes)) for first in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        ends = pool.map(train_in_turn, [task] * processes, range(processes), shares)
        return sorted(end for each in ends for end in each)


def train_in_turn(task: Task, process: int, count: int) -> Ends:
    """Train so many times, one after another, with the threads that a trial gets."""
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(task.threads)
    ends = []
    for _ in range(count):
        YOLO(task.model).train(lr0=1e-3, project=f"{task.folder}/bare", name=f"process{process}", **task.arguments)
        ends.append(time.time())
    return ends


WAYS: dict[str, Callable[[Task], Ends]] = {"this tuner": ours, "model.tune(use_ray=True)": peer, "no tuner": bare}


@dataclass(frozen=True)
class Cost:
    """What one way took in one round, in seconds."""

    wall: float
    cpu: float
    running: float
    """Wall seconds a trial once everything runs: from the end of the first trial of every process to the last end."""


def measure(task: Task) -> dict[str, Cost]:
    """What every way takes.

    Raises:
        RuntimeError: if a trial did not end well.
    """
    measured = {}
    for name, way in WAYS.items():
        with CpuTime() as cpu:
            ends, wall = fresh(way, task)
        if len(ends) != task.trials:
            raise RuntimeError(f"{name}: {len(ends)} of {task.trials} trials ended well")
        running = (ends[-1] - ends[task.at_once - 1]) / (len(ends) - task.at_once)
        measured[name] = Cost(wall, cpu.seconds, running)
    return measured


def rows(rounds: list[dict[str, Cost]]) -> list[list[str]]:
    """All rounds, and medians beside the peer's."""
    medians = {
        name: Cost(*(statistics.median(values) for values in zip(*(astuple(r[name]) for r in rounds), strict=True)))
        for name in WAYS
    }
    made = []
    for name, median in medians.items():
        peers = medians["model.tune(use_ray=True)"]
        walls, cpus = (", ".join(f"{getattr(r[name], kind):.1f}" for r in rounds) for kind in ("wall", "cpu"))
        throughput = f"{100 * medians['no tuner'].running / median.running:.0f} %"
        ratios = (f"{median.wall / peers.wall:.2f}", f"{median.cpu / peers.cpu:.2f}")
        made.append([name, walls, ratios[0], cpus, ratios[1], f"{median.running:.2f}", throughput])
    return made


def prepare() -> None:
    """Keep Ultralytics from looking for anything that is not there, in this process and those it starts."""
    from raytrainer.trainer.environment import prepare_process

    prepare_process(offline=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, default=BLOOD_CELLS)
    parser.add_argument("--model", default="yolov8n.yaml")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--imgsz", type=int, default=64)
    parser.add_argument("--train", type=int, default=62, help="training images")
    parser.add_argument("--val", type=int, default=20, help="validation images")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Run every way in every round and print the table."""
    chosen = arguments()
    prepare()
    from ultralytics.utils import NUM_THREADS

    rounds = []
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as folder:
            data = subset(chosen.data, Path(folder) / "data", train=chosen.train, val=chosen.val)
            task = Task(chosen.model, str(data), folder, chosen.trials, chosen.epochs, chosen.imgsz, NUM_THREADS)
            rounds.append(measure(task))
    header = ["", "wall seconds, each round", "of the peer's", "CPU seconds", "of the peer's"]
    header += ["seconds a trial once running", "throughput of bare"]
    note = f"{chosen.trials} trials of {chosen.epochs} epochs on {chosen.train} images at {chosen.imgsz} pixels."
    publish("trial_overhead", f"{table(header, rows(rounds))}\n\n{note}", write=chosen.write)


if __name__ == "__main__":
    main()

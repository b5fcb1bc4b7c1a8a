"""What is lost when drivers are killed: this tuner beside stock Ray Tune with OptunaSearch and `Tuner.restore`.

The same study on both sides, of trials that sleep through their epochs: its driver is killed with SIGKILL again and
again, at moments drawn from the same random numbers, and started again until the study is finished. Then comes the next
study, until there were enough kills. What happened is read from a log to which every trial appends each epoch that it
has finished.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import psutil  # type: ignore[import-untyped]

from measuring import options, publish, table

TRIALS, EPOCHS = 8, 5
SETTLED = 1.0
"""Seconds after which a finished epoch must be known: its report may be under way when the driver is killed."""
GIVE_UP = 300.0
SIDES = {"this tuner": "ours", "Ray Tune, OptunaSearch, Tuner.restore": "stock"}


def ours(folder: Path) -> None:
    """One driver of this tuner: the same call begins the study and goes on with it."""
    import sleeping_trial
    from driver import trivial_space
    from ray import cloudpickle

    from raytrainer.cluster import run as cluster_run
    from raytrainer.cluster.plan import plan
    from raytrainer.cluster.session import session
    from raytrainer.config.layout import StudyFolder
    from raytrainer.search.study import Study

    cloudpickle.register_pickle_by_value(sleeping_trial)
    space, layout = trivial_space(TRIALS, "tpe", str(folder)), StudyFolder(folder / "driver")
    trial = type("Trial", (sleeping_trial.SleepingTrial,), {"folder": folder, "epochs": EPOCHS})
    with (
        session(None, layout.log) as starting,
        Study.open(layout.path, space) as study,
        mock.patch.object(cluster_run, "trial_class", return_value=trial),
    ):
        planned = plan(space, starting.result().nodes())
        cluster_run.run(study, space, layout, planned, stop=threading.Event(), on_trial_end=lambda _: None)
        known = [str(view.number) for view in study.snapshot() if len(view.values) == EPOCHS]
    (folder / "known").write_text("\n".join(known))


def stock(folder: Path) -> None:
    """One driver of stock Ray Tune: restored if its experiment can be, with a checkpoint every epoch."""
    import optuna
    import ray
    import sleeping_trial
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    from trivial_trial import RANGES

    ray.cloudpickle.register_pickle_by_value(sleeping_trial)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = type("Trial", (sleeping_trial.CheckpointedTrial,), {"folder": folder, "epochs": EPOCHS})
    trainable, experiment = tune.with_resources(trial, {"cpu": 1}), str(folder / "stock")
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_folder:
        ray.init(address="local", _temp_dir=ray_folder, log_to_driver=False)
        if tune.Tuner.can_restore(experiment):
            tuner = tune.Tuner.restore(experiment, trainable, resume_unfinished=True, restart_errored=True)
        else:
            tuner = tune.Tuner(
                trainable,
                param_space={name: tune.loguniform(low, high) for name, (low, high) in RANGES.items()},
                tune_config=tune.TuneConfig(
                    search_alg=OptunaSearch(metric="fitness", mode="max"), num_samples=TRIALS, reuse_actors=True
                ),
                run_config=tune.RunConfig(
                    storage_path=str(folder), name="stock", verbose=0,
                    checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
                ),
            )  # fmt: skip
        results = tuner.fit()
        ray.shutdown()
    known = [str(result.config["lr0"]) for result in results if (result.metrics or {}).get("epoch") == EPOCHS]
    (folder / "known").write_text("\n".join(known))


@dataclass
class Losses:
    """What was lost over all studies of one side."""

    kills: int = 0
    studies: int = 0
    not_resumed: int = 0
    """Studies with a driver that could not go on, or that never came to their end."""
    lost: int = 0
    """Trials that had finished an epoch and are not among those that the study knows at its end."""
    again: int = 0
    """Epochs that were known to be finished and were run again."""
    missing: int = 0
    """Trials that were asked for and are not there at the end."""

    def add(self, folder: Path, kills: list[float], finished: bool) -> None:
        """Count one study."""
        lines = [line.split() for line in _lines(folder / "epochs")]
        ended = [(trial, int(epoch), float(when)) for trial, epoch, when in lines]
        known = set(_lines(folder / "known")) if finished else set()
        last = kills[-1] if kills else 0.0
        safe = {(t, e): when for t, e, when in reversed(ended) if any(when + SETTLED < kill for kill in kills)}
        repeats = Counter((t, e) for t, e, when in ended if (t, e) in safe and when > safe[t, e] + SETTLED)
        self.studies += 1
        self.kills += len(kills)
        self.not_resumed += not finished
        if finished:
            self.lost += len({t for t, _, when in ended if when + SETTLED < last} - known)
            self.missing += max(0, TRIALS - len(known))
        self.again += sum(repeats.values())


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def study(side: str, folder: Path, chance: random.Random, most: int) -> tuple[list[float], bool]:
    """Run one study through its kills; when they were, and whether it came to its end."""
    kills: list[float] = []
    while True:
        log = (folder / "output").open("a")
        driver = subprocess.Popen([sys.executable, __file__, "--side", side, "--folder", str(folder)],
                                  stdout=log, stderr=log, cwd=Path(__file__).parent)  # fmt: skip
        patience = chance.uniform(0.0, 8.0) if len(kills) < most else GIVE_UP
        try:
            _wait_for_an_epoch(folder, driver)
            return kills, driver.wait(patience) == 0
        except subprocess.TimeoutExpired:
            _end(driver)
        if patience == GIVE_UP:
            return kills, False
        kills.append(time.time())


def _wait_for_an_epoch(folder: Path, driver: subprocess.Popen[bytes]) -> None:
    """Wait until the driver's trials train: neither side keeps anything of one that was killed before."""
    before, deadline = len(_lines(folder / "epochs")), time.monotonic() + GIVE_UP
    while driver.poll() is None and len(_lines(folder / "epochs")) == before and time.monotonic() < deadline:
        time.sleep(0.05)


def _end(driver: subprocess.Popen[bytes]) -> None:
    """Kill a driver, and then what its cluster leaves, so that nothing of it meets the next."""
    left = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs(left, timeout=3)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)


def main() -> None:
    """Kill both sides' drivers and print the table."""
    parser = options(__doc__ or "")
    parser.add_argument("--kills", type=int, default=100, help="kills of each side")
    parser.add_argument("--each", type=int, default=5, help="kills of one study, at most")
    parser.add_argument("--side", choices=list(SIDES.values()), help="be one driver of one study")
    parser.add_argument("--folder", type=Path, help="the folder of that study")
    chosen = parser.parse_args()
    if chosen.side:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        (ours if chosen.side == "ours" else stock)(chosen.folder)
        return
    rows = []
    for name, side in SIDES.items():
        losses, chance = Losses(), random.Random(0)
        while losses.kills < chosen.kills:
            with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                losses.add(
                    Path(folder), *study(side, Path(folder), chance, min(chosen.each, chosen.kills - losses.kills))
                )
            print(f"{name}: {losses}", file=sys.stderr)
        rows.append([name, losses.kills, losses.studies, losses.not_resumed, losses.lost, losses.missing, losses.again])
    header = ["", "kills", "studies", "not resumed", "trials lost", "trials missing", "epochs run again"]
    note = f"{TRIALS} trials of {EPOCHS} epochs a study, up to {chosen.each} kills each."
    publish("faults", f"{table(header, rows)}\n\n{note}", write=chosen.write)


if __name__ == "__main__":
    main()

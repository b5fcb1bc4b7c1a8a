"""What is lost when drivers are killed: this tuner beside stock Ray Tune with OptunaSearch and `Tuner.restore`.

The same study on both sides, of trials that sleep through their epochs: its driver is killed with SIGKILL again and
again, at moments drawn from the same random numbers, and started again until the study is finished. Then comes the next
study, until there were enough kills. What happened is read from a log to which every trial appends each epoch that it
has finished. Studies are kept as they end, so that a run that is interrupted, or wants more kills, goes on.
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
from dataclasses import asdict, astuple, dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import psutil

from measuring import Kept, options, publish, table

TRIALS, EPOCHS = 12, 5
SETTLED = 1.0
"""Seconds after which a finished epoch must be known: its report may be under way when the driver is killed."""
LONGEST = 4.0
"""Seconds that a driver has, at most, from its first epoch on."""
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


@dataclass(frozen=True)
class Losses:
    """What was lost over some studies of one side."""

    kills: int = 0
    studies: int = 0
    not_resumed: int = 0
    """Studies with a driver that could not go on, or that never came to their end."""
    lost: int = 0
    """Trials that had finished an epoch and are not among those that the study knows at its end."""
    missing: int = 0
    """Trials that were asked for and are not there at the end."""
    again: int = 0
    """Epochs that were known to be finished and were run again."""

    def __add__(self, other: Losses) -> Losses:
        return Losses(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def of(cls, folder: Path, kills: list[float], finished: bool) -> Losses:
        """Of one study, from its log."""
        lines = [line.split() for line in _lines(folder / "epochs")]
        ended = [(trial, int(epoch), float(when)) for trial, epoch, when in lines]
        known = set(_lines(folder / "known"))
        last = kills[-1] if kills else 0.0
        safe = {(t, e): when for t, e, when in reversed(ended) if any(when + SETTLED < kill for kill in kills)}
        repeats = [(t, e) for t, e, when in ended if (t, e) in safe and when > safe[t, e] + SETTLED]
        return cls(
            kills=len(kills),
            studies=1,
            not_resumed=int(not finished),
            lost=len({t for t, _, when in ended if when + SETTLED < last} - known) if finished else 0,
            missing=max(0, TRIALS - len(known)) if finished else 0,
            again=len(repeats),
        )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def study(side: str, folder: Path, chance: random.Random, most: int) -> Losses:
    """Run one study through its kills, at most so many, to its end, or to where it cannot go on."""
    kills: list[float] = []
    while True:
        log = (folder / "output").open("a")
        driver = subprocess.Popen([sys.executable, __file__, "--side", side, "--folder", str(folder)],
                                  stdout=log, stderr=log, cwd=Path(__file__).parent)  # fmt: skip
        patience = chance.uniform(0.0, LONGEST) if len(kills) < most else GIVE_UP
        try:
            _wait_for_an_epoch(folder, driver)
            return Losses.of(folder, kills, finished=driver.wait(patience) == 0)
        except subprocess.TimeoutExpired:
            _end(driver)
        if patience == GIVE_UP:
            return Losses.of(folder, kills, finished=False)
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


def losses(side: str, kills: int, each: int, kept: Kept) -> Losses:
    """Of as many studies as so many kills take."""
    total = Losses()
    while total.kills < kills:
        most = min(each, kills - total.kills)
        setting = {"side": side, "study": total.studies, "kills": most, "trials": TRIALS, "epochs": EPOCHS}
        total += Losses(**kept.get(setting, partial(_one_study, side, total.studies, most)))
        print(f"{side}: {total}", file=sys.stderr)
    return total


def _one_study(side: str, number: int, most: int) -> dict[str, int]:
    """On both sides the kills of a study come after the same times."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        found = study(side, Path(folder), random.Random(number), most)
        if not found.kills:
            raise RuntimeError(f"{side}: a study ended before it was killed:\n{(Path(folder) / 'output').read_text()}")
        return asdict(found)


def main() -> None:
    """Kill both sides' drivers and print the table."""
    parser = options(__doc__ or "")
    parser.add_argument("--kills", type=int, default=100, help="kills of this tuner")
    parser.add_argument("--peer-kills", type=int, default=20, help="kills of the other")
    parser.add_argument("--each", type=int, default=5, help="kills of one study, at most")
    parser.add_argument(
        "--kept", type=Path, default=Path(tempfile.gettempdir()) / "faults.jsonl", help="studies so far"
    )
    parser.add_argument("--side", choices=list(SIDES.values()), help="be one driver of one study")
    parser.add_argument("--folder", type=Path, help="the folder of that study")
    chosen = parser.parse_args()
    if chosen.side:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        (ours if chosen.side == "ours" else stock)(chosen.folder)
        return
    kept, rows = Kept(chosen.kept), []
    for name, side in SIDES.items():
        found = losses(side, chosen.kills if side == "ours" else chosen.peer_kills, chosen.each, kept)
        rows.append([name, *astuple(found)])
    header = ["", "kills", "studies", "not resumed", "trials lost", "trials missing", "epochs run again"]
    note = f"{TRIALS} trials of {EPOCHS} epochs a study, up to {chosen.each} kills each."
    publish("faults", f"{table(header, rows)}\n\n{note}", write=chosen.write)


if __name__ == "__main__":
    main()

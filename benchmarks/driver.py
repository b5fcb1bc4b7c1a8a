"""What a report costs the driver, and how that grows: this tuner beside stock Ray Tune with OptunaSearch, in one run.

The trials do nothing but report, so that what is left is the driver's work: suggesting, recording, deciding. It is
measured as CPU time of the driver's process, all threads; the trials run in processes of their own. Both sides reuse
their actors, which stock Ray Tune does not by default, and sample with the same Optuna sampler: TPE, whose own work
grows with the study and is the same on both sides, and random, which leaves nothing but the driver.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from measuring import fresh, options, publish, table

Times = list[float]
"""CPU seconds of the driver's process, and how many had gone by when each trial ended."""


def ours(trials: int, sampler: str, folder: str) -> Times:
    """This tuner's searcher, scheduler and study, run as a study is, with the trivial trial in the trainer's place."""
    from ray import cloudpickle

    import trivial_trial
    from raytrainer.cluster import run as cluster_run
    from raytrainer.cluster.plan import plan
    from raytrainer.cluster.session import session
    from raytrainer.config.layout import StudyFolder
    from raytrainer.search.study import Study

    cloudpickle.register_pickle_by_value(trivial_trial)
    space = trivial_space(trials, sampler, folder)
    layout = StudyFolder(Path(folder) / "driver")
    times: Times = []
    with (
        session(None, layout.log) as starting,
        Study.open(layout.path, space) as study,
        mock.patch.object(cluster_run, "trial_class", return_value=trivial_trial.TrivialTrial),
    ):
        planned = plan(space, starting.result().nodes())
        begun = time.process_time()
        cluster_run.run(
            study, space, layout, planned, stop=threading.Event(),
            on_trial_end=lambda _: times.append(time.process_time() - begun),
        )  # fmt: skip
    return times


def trivial_space(trials: int, sampler: str, folder: str) -> Any:
    """The trivial trial's ranges as a space."""
    from raytrainer.config.space import Float, Resources, Search, Space
    from trivial_trial import RANGES, REPORTS

    return Space(
        model="none", data="none", train={"epochs": REPORTS}, storage=folder, name="driver",
        search=Search(trials=trials, sampler=sampler, pruner="none"), resources=Resources(cpus=1, gpus=0),
        space={k: Float(low=low, high=high, log=True, default=low) for k, (low, high) in RANGES.items()},
    )  # fmt: skip


def stock(trials: int, sampler: str, folder: str) -> Times:
    """Ray Tune with OptunaSearch and ASHA, as `model.tune(use_ray=True)` puts them together, nobody stopped early."""
    import optuna
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    import trivial_trial

    class Ends(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(self, *_: Any, **__: Any) -> None:
            times.append(time.process_time() - begun)

    ray.cloudpickle.register_pickle_by_value(trivial_trial)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    suggest = (
        optuna.samplers.RandomSampler()
        if sampler == "random"
        else optuna.samplers.TPESampler(multivariate=True, constant_liar=True)
    )
    times: Times = []
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_folder:
        ray.init(address="local", _temp_dir=ray_folder, log_to_driver=False)
        begun = time.process_time()
        tune.Tuner(
            tune.with_resources(trivial_trial.TrivialTrial, {"cpu": 1}),
            param_space={name: tune.loguniform(low, high) for name, (low, high) in trivial_trial.RANGES.items()},
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(sampler=suggest, metric="fitness", mode="max"),
                scheduler=ASHAScheduler(
                    time_attr="epoch", metric="fitness", mode="max", max_t=trivial_trial.REPORTS,
                    grace_period=trivial_trial.REPORTS, reduction_factor=3,
                ),
                num_samples=trials,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=folder, name="stock", verbose=0, callbacks=[Ends()],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()  # fmt: skip
        ray.shutdown()
    return times


STOCK = "Ray Tune, OptunaSearch"
SIDES: dict[str, Callable[[int, str, str], Times]] = {"this tuner": ours, STOCK: stock}


def milliseconds(times: Times, first: int, last: int) -> float:
    """Driver milliseconds a report between the ends of two trials, counted from 0."""
    from trivial_trial import REPORTS

    return 1e3 * (times[last] - times[first]) / ((last - first) * REPORTS)


def rows(sampler: str, measured: dict[str, tuple[Times, float]], window: int) -> list[list[str]]:
    """For each side: over the whole run, at its beginning, at its end, the growth, and wall seconds."""
    made = []
    reference = measured[STOCK][0]
    stock_whole = milliseconds(reference, 0, len(reference) - 1)
    for name, (times, wall) in measured.items():
        final = len(times) - 1
        whole = milliseconds(times, 0, final)
        early, late = milliseconds(times, 0, window), milliseconds(times, final - window, final)
        growth, ratio = f"{late / early:.2f}", f"{whole / stock_whole:.2f}"
        made.append([name, sampler, f"{whole:.2f}", ratio, f"{early:.2f}", f"{late:.2f}", growth, f"{wall:.0f}"])
    return made


def measure(trials: int, sampler: str) -> dict[str, tuple[Times, float]]:
    """Both sides, one after the other, each in a process and folders of its own.

    Raises:
        RuntimeError: if a trial did not end well.
    """
    from trivial_trial import SEATS  # imports Ray, which each side does for itself

    measured = {}
    for name, side in SIDES.items():
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as os.environ[SEATS]:
            measured[name] = fresh(side, trials, sampler, folder)
        if len(measured[name][0]) != trials:
            raise RuntimeError(f"{name}: {len(measured[name][0])} of {trials} trials ended well")
    return measured


def main() -> None:
    """Run both sides and print the table."""
    parser = options(__doc__ or "")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--samplers", nargs="+", choices=["tpe", "random"], default=["tpe", "random"])
    chosen: argparse.Namespace = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    window = max(1, chosen.trials // 10)
    made = [row for name in chosen.samplers for row in rows(name, measure(chosen.trials, name), window)]
    at_end = f"last {window}"
    header = ["", "sampler", "ms a report", "ratio", f"first {window} trials", at_end, "growth", "wall seconds"]
    publish("driver", f"{table(header, made)}\n\n{chosen.trials} trials of 10 reports each.", write=chosen.write)


if __name__ == "__main__":
    main()

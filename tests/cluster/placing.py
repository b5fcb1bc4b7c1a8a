"""Studies on logical GPUs whose trials train nothing, but note where they are: `python -m cluster.placing FOLDER`.

The cluster has a node with 1 GPU, and then one more with 3. Prints what was seen as JSON: by case, one entry a rank.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytrainer.cluster import first_node, rank_group, run
from raytrainer.cluster.assignment import Assignment, Order, prepare
from raytrainer.cluster.first_node import plan_or_wait
from raytrainer.cluster.node import Driver
from raytrainer.cluster.output import OutputTo
from raytrainer.cluster.rank_actor import RankActor
from raytrainer.cluster.session import RAY_ENVIRONMENT, Session
from raytrainer.cluster.training_thread import Finished
from raytrainer.cluster.trial import TrialActor, trial_class
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space
from raytrainer.search.study import Study
from raytrainer.trainer.records import EpochRecord

from .scripted import Scripted

SECONDS = 60.0
ONE_NODE = {
    "a quarter": {"trials": 4, "gpus": 0.25, "cpus": 1},
    "none": {"gpus": 0, "cpus": 1},
    "two": {"gpus": 2, "cpus": 1},
    "halves": {"ranks": 2, "gpus_per_rank": 0.5, "cpus": 1},
}
TWO_NODES = {
    "one": {"trials": 2, "gpus": 1, "cpus": 1},
    "two": {"gpus": 2, "cpus": 1},
    "spread": {"ranks": 2, "gpus_per_rank": 0.5, "cpus": 1, "spread": "spread"},
    "four": {"gpus": 4, "cpus": 4},
    "eight": {"gpus": 8, "cpus": 8},
}
"""Resources of a trial, and how many trials there are, which are all there at once."""


class SeenTrial(TrialActor):
    """Reports one epoch once all trials of the study have begun; what each rank sees is in the study's folder."""

    def setup(self, config: dict[str, Any]) -> None:
        rank_group.RankActor = SeenRank  # type: ignore[misc]
        super().setup(config)

    def _start(self, order: Order) -> Any:
        if self._group is not None:
            return super()._start(order)
        keep(self.assignment, order, rank=0, local_rank=0)
        return one_epoch(self.assignment)


class SeenRank(RankActor):
    """Joins no group, which would import torch."""

    def open_store(self, host: str) -> int:  # noqa: ARG002
        return 1

    def join(self, local_rank: int, host: str, port: int, backend: str) -> None:  # noqa: ARG002
        self._local_rank = local_rank
        prepare(self._assignment)

    def begin(self, order: Order) -> None:
        keep(self._assignment, order, self._rank, self._local_rank)
        self._output = OutputTo(self._assignment.folder.trial_log(order.number))
        self._training = one_epoch(self._assignment)


def keep(assignment: Assignment, order: Order, rank: int, local_rank: int) -> None:
    """Write down what this process was given, and what it sees."""
    import ray

    seen = {
        "trial": order.number,
        "rank": rank,
        "local_rank": local_rank,
        "node": ray.get_runtime_context().get_node_id(),
        "given": [str(gpu) for gpu in ray.get_gpu_ids()],
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "process": os.getpid(),
    }
    partial = assignment.folder.path / f".{order.number}-{rank}"
    partial.write_text(json.dumps(seen))
    partial.replace(partial.with_name(f"seen-{order.number}-{rank}"))


def one_epoch(assignment: Assignment) -> Scripted:
    """Wait for all ranks of all trials."""
    deadline = time.monotonic() + SECONDS
    everybody = assignment.space.search.trials * assignment.ranks
    while len(list(assignment.folder.path.glob("seen-*"))) < everybody:
        assert time.monotonic() < deadline, "the trials are not there at once"
        time.sleep(0.02)
    return Scripted([EpochRecord(1, 0.5, 0.5, 1), Finished()])


def outcome(
    folder: Path, trials: int = 1, train: dict[str, Any] | None = None, joined: bool = False, **resources: Any
) -> Any:
    """Run a study; what its ranks saw, or why it cannot be run. One that was joined may grow."""
    space = Space.model_validate(
        {
            "model": "m.yaml", "data": "d.yaml", "train": {"epochs": 1} if train is None else train,
            "search": {"trials": trials, "pruner": "none", "sampler": "random"}, "resources": resources,
            "space": {"lr0": {"low": 0.1, "high": 0.2, "default": 0.1}},
        }
    )  # fmt: skip
    with Study.open(folder, space) as study:
        try:
            planned = plan_or_wait(space, Session(None, own=False), print)
            driver = Driver("", "", {}, None) if joined else None
            run.run(
                study, space, study.folder, planned, stop=threading.Event(), on_trial_end=lambda _: None, driver=driver
            )
        except UserError as error:
            return str(error)
        assert {view.state for view in study.snapshot()} == {"complete"}, [view.reason for view in study.snapshot()]
    wait_until_all_is_free()
    return [json.loads(path.read_text()) for path in sorted(folder.glob("seen-*"))]


def wait_until_all_is_free() -> None:
    """What a study leaves behind would be in the way of the next one's placement."""
    import ray

    deadline = time.monotonic() + SECONDS
    while any(ray.available_resources().get(each) != ray.cluster_resources().get(each) for each in ("CPU", "GPU")):
        assert time.monotonic() < deadline, f"{ray.available_resources()} of {ray.cluster_resources()}"
        time.sleep(0.05)


def seen(folder: Path, cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Run the cases with trials that train nothing, on CPUs."""
    run.trial_class = lambda given: type("Trial", (SeenTrial,), {"assignment": replace(given, driver=None)})
    told = {case: outcome(folder / case, train={"device": "cpu"}, **given) for case, given in cases.items()}
    run.trial_class = trial_class
    return told


def main(folder: Path) -> dict[str, Any]:
    """Start the cluster and run every case."""
    os.environ.update(RAY_ENVIRONMENT)
    first_node.ANSWER_SECONDS = 0.5  # this cluster has no autoscaler that could answer
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    cluster.add_node(num_cpus=0, include_dashboard=False)
    cluster.add_node(num_cpus=4, num_gpus=1)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        told = {"one node": seen(folder / "one", ONE_NODE), "promised": outcome(folder / "promised", gpus=0.5, cpus=1)}
        cluster.add_node(num_cpus=4, num_gpus=3)
        return {**told, "two nodes": seen(folder / "two", TWO_NODES)}
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    from cluster import placing  # under its own name, by which the trials' processes import it

    (Path(sys.argv[1]) / "seen.json").write_text(json.dumps(placing.main(Path(sys.argv[1]))))

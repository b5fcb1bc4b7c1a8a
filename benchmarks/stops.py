"""How soon an early stop frees the ranks of a trial: for the next trial, and after the last one for everybody else.

Every trial is given up at its first epoch. Counted is from the end of that epoch, as the trial's process sees it: its
result travels to the driver, the rule decides, and the ranks leave the training. After the last trial it is counted
from that decision until Ray has all CPUs back. No peer has trials of several ranks that can be stopped; one rank is
beside two.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from measuring import BLOOD_CELLS, fresh, options, publish, subset, table


@dataclass(frozen=True)
class Freed:
    """Seconds."""

    next: list[float]
    """Until the ranks were free for the next trial, by trial."""
    last: float
    """Until all CPUs were free."""


def stopped(model: str, data: str, folder: str, ranks: int, trials: int, imgsz: int) -> Freed:
    """Run a study whose trials are all stopped after an epoch.

    Raises:
        RuntimeError: if a trial ended otherwise.
    """
    import ray

    from raytrainer.cluster.plan import plan
    from raytrainer.cluster.run import run
    from raytrainer.cluster.session import session
    from raytrainer.config.space import Space
    from raytrainer.search.stopping import Never
    from raytrainer.search.study import Study

    decided = []

    class Always(Never):
        def decide(self, *_: object) -> bool:
            decided.append(time.perf_counter())
            return True

    train = {"epochs": 3, "imgsz": imgsz, "batch": 16, "workers": 0, "plots": False, "amp": False, "optimizer": "AdamW"}
    space = Space.model_validate(
        {
            "model": model, "data": data, "train": train, "search": {"trials": trials, "sampler": "random"},
            "resources": {"ranks": ranks, "cpus_per_rank": 1, "gpus": 0, "max_concurrent": 1},
            "space": {"lr0": {"low": 1e-4, "high": 1e-2, "log": True}},
        }
    )  # fmt: skip
    path = Path(folder)
    with session(None, path / "driver.log", cpus=ranks) as starting, Study.open(path, space) as study:
        study._planner = replace(study._planner, decider=Always())
        planned = plan(space, starting.result().nodes())
        run(study, space, study.folder, planned, stop=threading.Event(), on_trial_end=lambda _: None)
        while ray.available_resources().get("CPU") != ranks:
            time.sleep(0.01)
        free = time.perf_counter()
        if not all(view.state == "pruned" for view in study.snapshot()):
            raise RuntimeError(f"a trial was not stopped: {study.snapshot()}")
        held = [_last_two(study.folder.holdings(number)) for number in range(trials - 1)]
    return Freed([end - epoch for epoch, end in held], free - decided[-1])


def _last_two(path: Path) -> tuple[float, float]:
    """How long the trial had been held at the end of its epoch, and when it was left."""
    epoch, end = (float(json.loads(line)["seconds"]) for line in path.read_text().splitlines()[-2:])
    return epoch, end


def row(ranks: int, freed: Freed) -> list[str]:
    """Median, longest, and the last."""
    return [str(ranks), f"{statistics.median(freed.next):.2f}", f"{max(freed.next):.2f}", f"{freed.last:.2f}"]


def main() -> None:
    """Stop trials of one rank and of two, and print the table."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, default=BLOOD_CELLS)
    parser.add_argument("--model", default="yolov8n.yaml")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--imgsz", type=int, default=64)
    chosen = parser.parse_args()
    rows = []
    for ranks in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            data = str(subset(chosen.data, Path(folder) / "data", train=32, val=16))
            freed, _ = fresh(stopped, chosen.model, data, folder, ranks, chosen.trials, chosen.imgsz)
            rows.append(row(ranks, freed))
    header = ["ranks", "free for the next trial, median s", "longest s", "all CPUs free after the last, s"]
    note = f"{chosen.trials} trials, each stopped after an epoch on 32 images at {chosen.imgsz} pixels."
    publish("stops", f"{table(header, rows)}\n\n{note}", write=chosen.write)


if __name__ == "__main__":
    main()

"""One rank of a test with several: `LOCAL_RANK=n python one_rank.py JOBS RANK WORLD_SIZE PORT`.

JOBS is a JSON file of runs by name, each `{"settings": …, "arguments": …, "fails": rank or null}`. What each run showed
is written beside it as `rank<RANK>.json`. A run that is to fail raises in that rank at the end of its first epoch. With
`"dies": [rank, event]` that rank is killed at the event's first callback, or before it sets up if the event is null.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any


def digest(tensors: Iterable[Any]) -> str:
    """Of every number, to the last bit."""
    sums = hashlib.sha256()
    for tensor in tensors:
        sums.update(tensor.detach().cpu().numpy().tobytes())
    return sums.hexdigest()


def die(*_: Any) -> None:
    """As when the machine is taken away."""
    os.kill(os.getpid(), signal.SIGKILL)


def train(job: dict[str, Any], rank: int) -> dict[str, Any]:
    """Train one run and return what it showed."""
    from raytrainer.trainer.compose import compose
    from raytrainer.trainer.families import core_of, trainer_of

    trainer = compose(trainer_of(job["arguments"]["model"]), **job["settings"])(overrides=job["arguments"])
    seen: dict[str, Any] = {"digests": [], "steps": 0, "losses": [], "trains": [], "validated": [], "boxes": []}

    def count(*_: Any) -> None:
        seen["steps"] += 1

    def at_epoch_end(trainer: Any) -> None:
        core = core_of(trainer.model)
        seen["digests"].append(digest(core.parameters()))
        seen["trains"].append(sum(parameter.requires_grad for parameter in core.parameters()))
        seen["losses"].append({name: float(value) for name, value in trainer.tloss.items()})
        if job.get("fails") == rank:
            raise ArithmeticError("this rank was told to fail")

    def at_start(trainer: Any) -> None:
        trainer.optimizer.register_step_post_hook(count)
        core_of(trainer.model).register_forward_pre_hook(lambda _, inputs: seen["boxes"].append(len(inputs[0]["cls"])))

    dying, event = job.get("dies", (None, None))
    if dying == rank:
        trainer.add_callback(event, die) if event else die()
    trainer.add_callback("on_train_start", at_start)
    trainer.add_callback("on_train_epoch_end", at_epoch_end)
    trainer.add_callback("on_fit_epoch_end", lambda trainer: seen["validated"].append(trainer.fitness is not None))
    trainer.train()
    norms = [module for module in core_of(trainer.model).modules() if "BatchNorm" in type(module).__name__]
    return seen | {
        "world_size": trainer.world_size,
        "local_rank": int(os.environ["LOCAL_RANK"]),
        "save_dir": str(trainer.save_dir),
        "batch_of_rank": trainer.train_loader.batch_size,
        "wrapped": type(trainer.model).__name__,
        "statistics": digest(module.running_mean for module in norms),
        "synchronised": any(type(module).__name__ == "SyncBatchNorm" for module in norms),
        "written": sorted(path.name for path in trainer.wdir.iterdir()),
    }


def main(
    jobs: Path, rank: int, world_size: int, port: int, train: Callable[[dict[str, Any], int], Any] = train
) -> None:
    """Join the group, train every run, write what was seen."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    from torch import distributed

    distributed.init_process_group("gloo", timeout=timedelta(seconds=120))
    from raytrainer.config.problems import UserError

    results: dict[str, Any] = {}
    for name, job in json.loads(jobs.read_text()).items():
        try:
            results[name] = train(job, rank)
        except UserError as error:
            results[name] = {"error": str(error)}
        except ArithmeticError as error:
            raise SystemExit(str(error)) from error
    jobs.with_name(f"rank{rank}.json").write_text(json.dumps(results))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

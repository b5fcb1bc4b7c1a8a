"""One study from its space to its best configuration: what `raytrainer tune` and `raytrainer.tune` both call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrainer.config.assemble import assemble, defaults
from raytrainer.config.check import check
from raytrainer.config.layout import StudyFolder
from raytrainer.config.problems import raise_for
from raytrainer.config.space import Space
from raytrainer.interrupt import Interrupt

if TYPE_CHECKING:
    import pandas as pd

    from raytrainer.cluster.plan import Plan
    from raytrainer.cluster.session import Session
    from raytrainer.results.best import Best
    from raytrainer.search.study import Study
    from raytrainer.search.views import TrialView

Watch = Callable[["Running"], AbstractContextManager[Any]]
"""Shows a study while it runs: entered before the first trial starts, left after the last has ended."""


@dataclass(frozen=True)
class Running:
    """A study that is about to run its trials, for whoever watches it."""

    space: Space
    folder: StudyFolder
    plan: Plan
    snapshot: Callable[[], Sequence[TrialView]]
    dashboard: str | None
    """Address of Ray's dashboard, without a scheme."""


@dataclass(frozen=True)
class Outcome:
    """A study whose trials have ended, or that was interrupted."""

    space: Space
    folder: StudyFolder
    trials: Sequence[TrialView]
    best: Best | None
    interrupted: bool

    @property
    def best_settings(self) -> dict[str, Any]:
        """The searched parameters of the best trial; empty if no trial has a fitness."""
        return dict(self.best.trial.params) if self.best else {}

    @property
    def best_fitness(self) -> float | None:
        """Fitness of the best trial; None if no trial has one."""
        return self.best.trial.best_fitness if self.best else None

    @property
    def frame(self) -> pd.DataFrame:
        """One row a trial: number, state, fitness, epochs, parameters, reason."""
        from raytrainer.results.frame import frame

        return frame(self.trials)


def run_study(
    space: Space, *, fresh: bool = False, address: str | None = None, watch: Watch = lambda _: nullcontext()
) -> Outcome:
    """Check a space, run its study to the end or go on with it, and write down the best configuration.

    Args:
        space: as `load_space` gives it.
        fresh: start a new study beside one of the same name; nothing is deleted.
        address: Ray cluster to join; None starts one on this machine.
        watch: shows the study while it runs.

    Raises:
        UserError: for every mistake that can be told before a trial starts.
    """
    raise_for(check(space))
    if fresh:
        space = _beside(space)
    folder = StudyFolder(Path(space.storage) / space.name)
    from raytrainer.cluster.session import session
    from raytrainer.search.study import Study

    with Study.open(folder.path, space) as study, session(address, folder.log) as starting:
        _try_one_batch(space, folder)
        return _run(study, space, folder, starting.result(), watch)


def _beside(space: Space) -> Space:
    """The space under the first free name: `detr`, `detr-2`, `detr-3`."""
    names = [space.name, *(f"{space.name}-{n}" for n in range(2, 10_000))]
    free = next(name for name in names if not (Path(space.storage) / name).exists())
    return space.model_copy(update={"name": free})


def _try_one_batch(space: Space, folder: StudyFolder) -> None:
    from raytrainer.cluster.output import OutputTo
    from raytrainer.trainer.environment import prepare_process
    from raytrainer.trainer.probe import probe

    prepare_process(offline=False)
    with OutputTo(folder.log):
        probe(assemble(space, defaults(space)))


def _run(study: Study, space: Space, folder: StudyFolder, cluster: Session, watch: Watch) -> Outcome:
    from raytrainer.cluster.plan import plan
    from raytrainer.cluster.run import run
    from raytrainer.results.best import write_best
    from raytrainer.results.keep import sweep

    planned = plan(space, cluster.nodes())
    stop = threading.Event()

    def interrupted() -> None:
        study.closing = True
        stop.set()

    running = Running(space, folder, planned, study.snapshot, cluster.dashboard)
    def swept(_: int) -> None:
        sweep(folder, study.snapshot(), space.keep)

    with watch(running), Interrupt(interrupted):
        run(study, space, folder, planned, stop=stop, on_trial_end=swept)
    trials = study.snapshot()
    best = write_best(folder, space, trials, threads=planned.threads)
    return Outcome(space, folder, trials, best, stop.is_set())

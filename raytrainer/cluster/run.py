"""Run a study's trials on a Ray cluster, from the first suggestion to the last epoch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from raytrainer.cluster.assignment import Assignment
from raytrainer.cluster.capacity import Capacity
from raytrainer.cluster.node import Driver
from raytrainer.cluster.plan import Plan
from raytrainer.cluster.rehearsal import SEAT, Rehearsal, RehearsedScheduler, RehearsedSearcher
from raytrainer.cluster.scratch import scratch
from raytrainer.cluster.trial import trial_class
from raytrainer.cluster.unfit_nodes import Bundles, UnfitNodes
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import DEFAULT_TRIALS, Space
from raytrainer.search.scheduler import PROCESS_RETRIES
from raytrainer.search.study import Study
from raytrainer.trainer.handover import take_over


def _name(trial: Trial) -> str:
    seat = trial.config.get(SEAT)
    return f"trial-{trial.config['number']:04d}" if seat is None else f"seat-{seat}"


MOST_PENDING = 1000
"""Processes on their way at once, of a study that has no number of trials."""
ALWAYS: dict[str, Any] = {
    "name": "run",
    "num_samples": -1,
    "reuse_actors": True,
    "max_failures": PROCESS_RETRIES,
    "raise_on_failed_trial": False,
    "trial_name_creator": _name,
    "trial_dirname_creator": _name,
    "verbose": 0,
}
"""Arguments of `tune.run` that no study changes."""


def run(
    study: Study,
    space: Space,
    folder: StudyFolder,
    plan: Plan,
    *,
    stop: threading.Event,
    on_trial_end: Callable[[int], None],
    on_first_batch: Callable[[Mapping[str, str]], None] | None = None,
    driver: Driver | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Run trials until the study asks for no more, is found to be broken, or `stop` is set.

    Args:
        study: the open study; every report, state and reason goes there and nothing else is kept.
        space: what is searched and what is fixed.
        folder: the study's folder, reachable from every node under this path.
        plan: what a trial reserves and how many run at once.
        stop: set it to end at the next event; trials that had not ended stay running in the study.
        on_trial_end: called in this thread with the number of every trial that has ended, in whatever state.
        on_first_batch: called with the images that training leaves out as corrupt, each with the reason, once a batch
            of the defaults has been tried in a trial's process, which has to have one rank; None leaves that out.
        driver: what each node is prepared against; None if there is only the driver's own machine.
        tell: takes a line about a node that could not be prepared.

    Raises:
        UserError: if that batch shows a mistake, the study has no trial then that it had not before; or if no node that
            holds a trial could be prepared.
        RuntimeError: if that batch fails otherwise.

    Ray must be connected. Trials that an earlier driver left running are taken up first.
    """
    _ready(study, space, folder)
    assignment = Assignment(space, folder, plan.ranks, plan.cpus, plan.gpus, plan.threads, driver)
    unfit = UnfitNodes(plan, tell)
    rehearsal = Rehearsal(plan.concurrent if on_first_batch else 0, on_first_batch)
    searcher = RehearsedSearcher(rehearsal, study, max_concurrent=plan.concurrent, notes=_notes(plan))
    bundles = Bundles.of(plan, unfit)
    more = None if driver is None else lambda there: bundles.demand.want(_to_run(study, space) - there)
    capacity = Capacity(space, plan, unfit.others, searcher.set_max_concurrency, more)
    with scratch("tune-") as folder_of_tune:
        # Not `Tuner.fit`, which pickles everything that it is given for a restore that is never wanted.
        tune.run(
            trial_class(assignment),
            resources_per_trial=bundles,
            search_alg=searcher,
            scheduler=RehearsedScheduler(rehearsal, study),
            stop=_StopWhen(lambda: any((stop.is_set(), study.broken, rehearsal.mistake, unfit.none_left()))),
            callbacks=[_TrialEnds(on_trial_end), unfit, capacity],
            # Ray's own record of the run is never read again: the study is the truth. It needs a place all the same.
            storage_path=str(folder_of_tune),
            **ALWAYS,
        )
    bundles.demand.want(0)
    if mistake := rehearsal.mistake or unfit.none_left():
        raise mistake
    if not study.closing:
        study.tell_held()


def _ready(study: Study, space: Space, folder: StudyFolder) -> None:
    """What has to be there before Ray runs the first trial."""
    study.turning.hand_over = lambda source, target: take_over(folder.trial(source), folder.trial(target))
    # Ray waits for each process before it asks for the next one, unless it is told that so many may be on their way.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(space.search.most_trials or MOST_PENDING)
    folder.trials.mkdir(parents=True, exist_ok=True)  # by nobody else: a trial that does not find it waits for the disk


def _notes(plan: Plan) -> dict[str, int]:
    """What a retraining needs to know to come out the same, to the last digit."""
    return {"threads": plan.threads, "ranks": plan.ranks}


def _to_run(study: Study, space: Space) -> int:
    """Trials that could run now, given the room."""
    going_on = ("running", "paused") if space.search.schedule else ("running",)
    running = sum(view.state in going_on for view in study.snapshot())
    most = space.resources.max_concurrent or space.search.most_trials or DEFAULT_TRIALS
    return int(min(running + study.standing().to_come, most))


class _StopWhen(tune.Stopper):  # type: ignore[misc]
    """Ends the run once a condition holds."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition = condition

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002, Ray's signature
        return False

    def stop_all(self) -> bool:
        return self._condition()

    def __getstate__(self) -> dict[str, Any]:
        """Ray puts a stopper into snapshots that nobody reads; a condition cannot go there."""
        return {}


class _TrialEnds(tune.Callback):  # type: ignore[misc]
    """Tells which trial has ended, after the study knows its state."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        self._ended(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:  # noqa: ARG002
        self._ended(trial)

    def _ended(self, trial: Trial) -> None:
        if SEAT not in trial.config:
            self._tell(trial.config["number"])

"""Ray Tune's ear and hand: every result goes to the study, whose stopping rule decides what goes on."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from raytrainer.config.assemble import assemble
from raytrainer.config.smaller_batch import halved
from raytrainer.search.deaths import death_of
from raytrainer.search.study import Study

REASON_LENGTH = 200


PROCESS_RETRIES = 3
"""How often a trial whose process died is started again that has got no further since."""


class StudyScheduler(FIFOScheduler):  # type: ignore[misc]
    """Reports results to the study and stops what the study gives up on.

    A result is `{"epoch": int, "fitness": float, "done": bool, ...}`, with `violations` where there are constraints and
    `others`, all objectives but the fitness, where there are several, or `{"failed": reason, "done": True}` for an
    error inside the training, or `{"excluded": reason, "violations": [...], "done": True}` for an architecture that
    violates one before the training, or `{"amended": pairs, "done": False}` if the trial goes on with training
    arguments of its own (no dict, of which Ray would make keys of the result), or `{"waiting": reason, "done": False}`
    if it stands still until the disk is well again. Every epoch may come more than once: a trial whose process was
    killed is started again and replays its records. Ray calls `on_trial_result` for every result but the one that is
    done, and `on_trial_complete` for that one, also after a stop; `on_trial_error` whenever a process died, after it
    has decided whether to start it again.

    A trial is given up when its process has died `retries + 1` times without an epoch in between. A node that is lost
    is not the trial's fault and does not count.

    Args:
        study: the open study.
        retries: how often a trial is started again that gets no further; Ray is to be given the same number.
    """

    def __init__(self, study: Study, retries: int = PROCESS_RETRIES) -> None:
        super().__init__()
        self._study = study
        self._retries = retries
        self._waiting: set[int] = set()

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The first pending trial; of those that live, since Ray's own looks through all that ever were."""
        pending = [trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING]
        return min(pending, key=lambda trial: trial.config.get("number", -1), default=None)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002
        """STOP for a trial that has ended in the study, or does now, or has failed and is held back.

        Also for one that is paused: its state is on disk, so Ray need not keep it, and it comes back as a new trial of
        Ray's with the same number.
        """
        number = trial.config["number"]
        if "amended" in result:
            self._amend(trial, dict(result["amended"]))
            return str(TrialScheduler.CONTINUE)
        if "waiting" in result:
            self._wait(number, result["waiting"])
            return str(TrialScheduler.CONTINUE)
        if self._report(number, result):
            self._go_on(number)
            trial.max_failures = trial.run_metadata.num_failures + self._retries
        if self._study.should_stop(number):
            self._study.give_up(number)
        return str(TrialScheduler.CONTINUE if self._study.trains(number) else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Ends the trial as complete, or as failed with its reason; one that Ray cut short stays running."""
        number = trial.config["number"]
        self._report(number, result)
        self._go_on(number)
        if "excluded" in result:
            self._study.finish(number, "pruned", str(result["excluded"]), result["violations"])
        elif "failed" in result:
            self._study.finish(number, "failed", str(result["failed"]))
        elif result.get("done"):
            self._study.finish(number, "complete")

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002
        """Notes why the trial's process died; it is the reason if Ray gives the trial up."""
        view = self._study.snapshot()[trial.config["number"]]
        if self._study.closing or not self._study.trains(view.number):
            return
        death = death_of(trial.error_file, self._study.folder.trial_log(view.number))
        if death.of_node:
            trial.max_failures += 1
        if death.for_memory and not view.values:
            self._halve_batch(trial)
        self._study.note(view.number, died=shorten(death.reason, REASON_LENGTH, placeholder=" ..."))

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray pickles a tuner when it is made, to restore it one day; a study is never restored from there."""
        return {}

    def _report(self, number: int, result: dict[str, Any]) -> bool:
        """Tells the study of an epoch; whether it was a new one."""
        if result.get("fitness") is None:
            return False
        before = self._study.snapshot()[number].last_epoch
        epoch, fitness = int(result["epoch"]), float(result["fitness"])
        self._study.report(number, epoch, fitness, result.get("violations", ()), result.get("others", ()))
        return self._study.snapshot()[number].last_epoch > before

    def _wait(self, number: int, why: str) -> None:
        """Tell the user once that a trial stands still."""
        if number not in self._waiting:
            self._waiting.add(number)
            self._study.tell(f"trial {number} waits, nothing is lost: {why}")

    def _go_on(self, number: int) -> None:
        """Tell the user once that it does no more: not before it got further, since it may find the disk full again."""
        if number in self._waiting:
            self._waiting.discard(number)
            self._study.tell(f"trial {number} goes on")

    def _amend(self, trial: Any, arguments: Mapping[str, Any]) -> None:
        """Keeps a trial's own arguments for all who train it again: a new process, the next driver, a retraining."""
        trial.config["amended"] = dict(arguments)
        self._study.note(trial.config["number"], amended=dict(arguments))

    def _halve_batch(self, trial: Any) -> None:
        """What a trial does by itself, if Ray does not end it before its own allocation fails."""
        space, amended = self._study.space, trial.config["amended"]
        train = assemble(space, trial.config["params"], amended).train
        smaller = halved(train, space.resources.world_size) if space.failures.on_oom == "retry" else None
        if smaller is not None:
            self._amend(trial, {**amended, **smaller})

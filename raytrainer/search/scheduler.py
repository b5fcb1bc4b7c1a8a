"""Ray Tune's ear and hand: every result goes to the study, whose stopping rule decides what goes on."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from raytrainer.search.study import Study

REASON_LENGTH = 200


class StudyScheduler(FIFOScheduler):  # type: ignore[misc]
    """Reports results to the study and stops what the study gives up on.

    A result is `{"epoch": int, "fitness": float, "done": bool, ...}`, or `{"failed": reason, "done": True}` for an
    error inside the training. Every epoch may come more than once: a trial whose process was killed is started again
    and replays its records. Ray calls `on_trial_result` for every result but the one that is done, and
    `on_trial_complete` for that one, also after a stop; `on_trial_error` whenever a process died, before Ray decides
    whether to start it again.
    """

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002
        """STOP for a trial that has ended in the study, or does now."""
        number = trial.config["number"]
        self._report(number, result)
        if self._study.should_stop(number):
            self._study.finish(number, "pruned")
        goes_on = self._study.snapshot()[number].state == "running"
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Ends the trial as complete, or as failed with its reason; one that Ray cut short stays running."""
        number = trial.config["number"]
        self._report(number, result)
        if "failed" in result:
            self._study.finish(number, "failed", str(result["failed"]))
        elif result.get("done"):
            self._study.finish(number, "complete")

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002
        """Notes why the trial's process died; it is the reason if Ray gives the trial up."""
        number = trial.config["number"]
        if not self._study.closing and self._study.snapshot()[number].state == "running":
            self._study.note(number, died=_last_line(trial.error_file))

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray pickles a tuner when it is made, to restore it one day; a study is never restored from there."""
        return {}

    def _report(self, number: int, result: dict[str, Any]) -> None:
        if result.get("fitness") is not None:
            self._study.report(number, int(result["epoch"]), float(result["fitness"]))


def _last_line(file: str | None) -> str:
    """Ray's error files end in the exception, whose first sentences say it all."""
    path = Path(file) if file else None
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path and path.is_file() else []
    last = next((line for line in reversed(lines) if line.strip()), "its process died")
    return shorten(last, REASON_LENGTH, placeholder=" ...")

"""Ray Tune's source of trials: the study, and nothing kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.search import Searcher

from raytrainer.search.study import Study, TrialHandle


class StudySearcher(Searcher):  # type: ignore[misc]
    """Hands out the study's trials: first those that an earlier driver left running, then paused and new ones.

    A trial's configuration is `{"number": int, "params": dict, "amended": dict}`, with `"later": pairs` of epochs done
    and values if those change while it trains. Reports and endings reach the study
    through `StudyScheduler`; only a trial whose process died for good is ended here, since Ray tells nobody else.
    Ray's own snapshots of a searcher are not written: the study on disk is the truth, and it needs no restore.

    Args:
        study: the open study.
        max_concurrent: trials at once, at most; None leaves it to Ray's resources. A suggestion is not drawn before
            there is room for it, so that it knows all that has been reported by then.
        notes: JSON data that the study keeps about every trial which is started here.
    """

    def __init__(self, study: Study, max_concurrent: int | None = None, notes: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._study = study
        self._notes = dict(notes or {})
        self._max_concurrent = max_concurrent
        self._adopted = study.adopt()
        self._live: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next configuration; None while it has to wait; FINISHED at the end."""
        if self._max_concurrent is not None and len(self._live) >= self._max_concurrent:
            return None
        handle = None if self._study.closing else self._next()
        if handle is None:
            waits = (self._study.waits and self._live) or self._study.behind
            return None if waits and not self._study.closing else str(Searcher.FINISHED)
        self._study.note(handle.number, **self._notes)
        self._live[trial_id] = handle.number
        later = {"later": handle.later} if handle.later else {}
        return {"number": handle.number, "params": handle.params, "amended": handle.amended, **later}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: ARG002
        """Makes room; fails the trial if its process died once too often."""
        number = self._live.pop(trial_id, None)  # Ray may say it twice, if something fails in between
        if error and number is not None:
            self._study.finish(number, "failed", self._study.snapshot()[number].notes.get("died"))

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Takes the limit over from Ray, which then needs none of its own."""
        self._max_concurrent = max_concurrent
        return True

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save."""

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Nothing to restore."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def get_state(self) -> dict[str, Any]:
        """Empty: the study is the state."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Nothing to set."""

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Ray pickles a tuner when it is made, to restore it one day; a study is never restored from there."""
        return {}

    def _next(self) -> TrialHandle | None:
        return self._adopted.pop(0) if self._adopted else self._study.ask()

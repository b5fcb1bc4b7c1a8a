"""Values that change while a run goes on: it leaves off after an epoch, and goes on exactly from there with others.

Nothing of a trainer is changed in its place. The next stage is a new trainer, built with its own values, that resumes
the state of the one before: weights, average, moments, pending gradients, random states and the place in the data. So
a trial of a population that went on from another's checkpoint, and the one training that replays its whole lineage, go
through the same steps. What a changed value means follows: with `lr0` changed after epoch e, the rest of the curve is
the stock scheduler's for the new `lr0`, as if it had always been that; a warm-up that is over does not come back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from raytrainer.config.settings import Settings
from raytrainer.trainer.checkpoint import SETTINGS_FILE
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.ranks import launched
from raytrainer.trainer.reporting import StopTraining
from raytrainer.trainer.resume import changed_arguments, check_unchanged
from raytrainer.trainer.run_state import plain
from raytrainer.trainer.state_file import State

if TYPE_CHECKING:
    from raytrainer.config.assemble import TrialConfig

Span = tuple[int, "TrialConfig"]
"""Epochs done when a configuration comes into force, and the configuration."""


class StageEnd(StopTraining):
    """The run has come to the epoch after which it goes on with other values."""


class ValueSchedule(Customisation):
    """Leaves the loop on `on_fit_epoch_end` of the last epoch of a stage, when its state is on the disk."""

    events: ClassVar[Mapping[str, str]] = {"on_fit_epoch_end": "_leave"}
    until: int | None = None
    """The last epoch of the stage, counted from 1; None is the run's."""
    abandoned: StopTraining | None
    epoch: int
    stop: bool

    def _leave(self) -> None:
        """As `Reporting` does when it is told to stop; each rank knows by itself."""
        if self.epoch + 1 != self.until or self.stop:  # a run that has ended evaluates, which brings the event too
            return
        self.abandoned = self.abandoned or StageEnd()
        if not launched():
            raise self.abandoned
        self.stop = True


@dataclass(frozen=True)
class Stage:
    """What a run does next."""

    since: int
    config: TrialConfig
    until: int | None
    before: Sequence[Span]

    @classmethod
    def after(cls, epoch: int, config: TrialConfig) -> Stage:
        """The stage of a run that has done so many epochs."""
        spans = _spans(config)
        begun = [span for span in spans if span[0] <= epoch]
        until = next((since for since, _ in spans if since > epoch), None)
        return cls(*begun[-1], until, begun[:-1])

    @property
    def history(self) -> list[list[Any]]:
        """The stages before it as they are kept in a state: epochs done by then, arguments, settings."""
        return [[since, given(config), config.settings.model_dump(mode="json")] for since, config in self.before]

    def taking_up(self, state: State | None) -> State | None:
        """The state for a trainer with this stage's values; as it is, if those before were the same."""
        if state is None or state["epoch"] != self.since:
            return state
        now, arguments, settings = given(self.config), state["arguments"], self.config.settings.model_dump(mode="json")
        changed = {key: value for key, value in now.items() if arguments["given"].get(key) != value}
        if not changed and settings == state["settings"]:
            return state
        of_all = {kind: {**arguments[kind], **changed} for kind in ("asked", "settled")}
        return {**state, "settings": settings, "arguments": {**of_all, "given": now}, "changed": True}


def given(config: TrialConfig) -> dict[str, Any]:
    """The training arguments that a configuration asks for, as plain data."""
    asked: dict[str, Any] = plain({**config.train, "model": config.model})
    return asked


def check_same(state: State, config: TrialConfig, folder: Path) -> None:
    """Compare every stage that a run has begun with what is asked for now, before anything is built.

    Raises:
        UserError: if any of them differs in what matters; it lists the differences.
    """
    now = [span for span in _spans(config) if span[0] < state["epoch"]]
    then = [*state.get("history", ()), [state.get("since", 0), state["arguments"]["given"], state["settings"]]]
    starts = [since for since, *_ in then], [since for since, _ in now]
    check_unchanged("schedule", folder / "args.yaml", {"schedule": starts} if starts[0] != starts[1] else {})
    for (_, arguments, settings), (_, asked) in zip(then, now, strict=True):
        differing = Settings.model_validate(settings).difference(asked.settings)
        check_unchanged("setting", folder / "weights" / SETTINGS_FILE, differing)
        if arguments is not None:
            check_unchanged("training argument", folder / "args.yaml", changed_arguments(given(asked), arguments))


def _spans(config: TrialConfig) -> list[Span]:
    return [(0, config), *config.later]

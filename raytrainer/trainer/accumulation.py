"""Optimizer steps of a resumed run fall on the very batches on which they would fall without the interruption."""

from __future__ import annotations

from raytrainer.trainer.contract import Customisation


class StepRhythm(Customisation):
    """Runs on `on_train_epoch_start`, `on_train_batch_start` and `on_train_batch_end`, and owns `accumulate`.

    Upstream steps when `batch - last_step >= self.accumulate`, counts batches over all epochs, and keeps `last_step` in
    a local variable that begins at -1, so that a resumed run would step on its first batch. An epoch may end in the
    middle of an accumulation, or its first steps may be due later. Until the first step after a resume, `accumulate`
    is therefore read as so much larger as makes the comparison come out as it would have.
    """

    events = {
        "on_train_epoch_start": "_begin_counting_batches",
        "on_train_batch_start": "_count_batch",
        "on_train_batch_end": "_note_step",
    }

    last_step = -1
    """Batch of the last optimizer step, counted over all epochs from 0."""
    _accumulate = 1
    _batch = -1
    _updates_seen = 0
    _resumed_at: int | None = None

    @property
    def accumulate(self) -> int:
        """Batches an optimizer step."""
        return self._accumulate + (self.last_step + 1 if self._no_step_since_resume() else 0)

    @accumulate.setter
    def accumulate(self, batches: int) -> None:
        self._accumulate = batches

    def resume_rhythm(self, last_step: int) -> None:
        """Go on as if `last_step` had been this run's own; call once the loop has read the nominal `accumulate`."""
        self.last_step = last_step
        self._updates_seen = self._resumed_at = self.ema.updates

    def _no_step_since_resume(self) -> bool:
        return self._resumed_at is not None and self._resumed_at == self.ema.updates and not self._oom_retries

    def _begin_counting_batches(self) -> None:
        self._batch = len(self.train_loader) * self.epoch - 1

    def _count_batch(self) -> None:
        self._batch += 1

    def _note_step(self) -> None:
        """Every step updates the average of the weights once, whether or not the scaler let the optimizer step."""
        if self.ema.updates != self._updates_seen:
            self._updates_seen, self.last_step = self.ema.updates, self._batch

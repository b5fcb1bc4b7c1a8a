"""One fitness decides best.pt, early stopping and what is reported: the stock one, or the settings' expression."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import EarlyStopping

from raytrainer.config.fitness import Fitness, parse_fitness
from raytrainer.config.problems import Problem, UserError, suggest
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.metrics import added_columns, metric_names, named_metrics
from raytrainer.trainer.ranks import from_rank_0, is_main


class NonFinite(RuntimeError):
    """A loss or fitness was infinite or not a number where the settings say that the run fails then."""

    def __init__(self, epoch: int, what: str) -> None:
        super().__init__(f"the {what} of epoch {epoch} is not finite")
        self.epoch = epoch
        """Counted from 1."""
        self.what = what

    def __reduce__(self) -> tuple[type[NonFinite], tuple[int, str]]:
        """Survives the way between processes, which rebuild an exception from its arguments."""
        return type(self), (self.epoch, self.what)


class Patience(EarlyStopping):  # type: ignore[misc]
    """Early stopping for a fitness of any sign and scale.

    The stock one takes a best fitness of 0 for "nothing found yet" and then never stops, and it begins at 0, which a
    negative fitness never exceeds. Here every validated epoch without improvement counts, and NaN is none.
    """

    def __init__(self, patience: float) -> None:
        super().__init__(patience)
        self.best_fitness = -math.inf

    def __call__(self, epoch: int, fitness: float | None) -> bool:
        """Whether to stop after `epoch`, counted from 1; an epoch that was not validated has no fitness."""
        if fitness is None:
            return False
        if fitness > self.best_fitness:
            self.best_epoch, self.best_fitness = epoch, fitness
        waited = epoch - self.best_epoch
        self.possible_stop = waited >= self.patience - 1
        if waited >= self.patience:
            LOGGER.info(f"no better fitness for {self.patience} epochs: stopped, best at epoch {self.best_epoch}")
        return bool(waited >= self.patience)


def better(best: float | None, fitness: float) -> float | None:
    """The best fitness after one more epoch; one that is not finite is never the best."""
    if math.isfinite(fitness) and (best is None or fitness > best):
        return fitness
    return best


def unusable(fitness: Fitness, available: Iterable[str], counts: Mapping[str, int] | None) -> list[str]:
    """What is wrong with the metrics that a fitness names, each as one sentence; empty if nothing is.

    Args:
        fitness: of which a function's metrics are not known.
        available: names that the task's validation gives.
        counts: instances of each class in the validation labels, or None if they are not known.
    """
    known = list(available)
    kinds = {name.partition("[")[0] for name in known if "[" in name}
    wrong = [f"the validation gives no metric '{name}'{suggest(name, known)}" for name in fitness.metrics - {*known}]
    wrong += [
        f"the validation gives no '{name}' by class{suggest(name, kinds)}" for name in fitness.over_classes - kinds
    ]
    wrong += [
        f"a metric of class '{label}' is never defined, since the validation labels have no instance of it"
        for label in fitness.classes
        if counts is not None and counts.get(label) == 0
    ]
    return sorted(wrong)


class OwnFitness(Customisation):
    """Runs on `validate` and `_handle_nan_recovery`.

    Upstream raises `best_fitness` to the stock fitness before a caller sees either, so that a fitness on a smaller
    scale would never be the best. Here the best is remembered, upstream validates, and the comparison is made anew.
    """

    events = {"on_pretrain_routine_end": "_prepare_fitness"}

    epoch_metrics: Mapping[str, float] = {}
    """Metrics of the last validation by the names of the fitness expression, unrounded. Empty on ranks above 0."""
    validated_epoch = -1
    """The epoch of the last validation, counted from 0; with `val=False` most epochs have none."""

    best_fitness: float | None
    fitness: float | None
    stopper: EarlyStopping

    @cached_property
    def _fitness(self) -> Fitness | None:
        return None if self.settings.fitness is None else parse_fitness(self.settings.fitness)

    def _prepare_fitness(self) -> None:
        if self._fitness is None:
            return
        available = metric_names(self.validator.metrics, self.data["names"])
        wrong = unusable(self._fitness, available, self._validation_counts())
        if wrong:
            raise UserError([Problem(None, None, "fitness", message) for message in wrong])
        stopper = Patience(self.args.patience)
        if self.best_fitness is not None:  # resumed: the stock stopper was given the saved state
            stopper.__dict__.update(self.stopper.__dict__)
        self.stopper = stopper

    def _validation_counts(self) -> dict[str, int] | None:
        """Instances of every class in the validation labels; None for a task without such labels."""
        labels = getattr(self.test_loader.dataset, "labels", None)
        if not labels or not all(isinstance(label, Mapping) and "cls" in label for label in labels):
            return None
        classes = np.concatenate([np.asarray(label["cls"]).reshape(-1) for label in labels]).astype(int)
        counts = np.bincount(classes, minlength=len(self.data["names"]))
        return {name: int(counts[index]) for index, name in self.data["names"].items()}

    def validate(self) -> tuple[dict[str, Any] | None, float | None]:
        """Validate as upstream does, then judge by the settings' fitness; both are None on ranks above 0.

        Raises:
            UserError: if the fitness names the metric of a class that the validation turned out to have no label of.
        """
        best = self.best_fitness
        metrics, fitness = super().validate()
        if metrics is None:
            return metrics, fitness
        self.validated_epoch = self.epoch
        self.epoch_metrics = named_metrics(self.validator.metrics, self.data["names"])
        if self._fitness is not None:
            fitness = self._judge(self._fitness)
            self.best_fitness = better(best, fitness)
        return {**metrics, **added_columns(self.epoch_metrics)}, fitness

    def _judge(self, expression: Fitness) -> float:
        undefined = [name for name in expression.metrics if math.isnan(self.epoch_metrics.get(name, 0.0))]
        if undefined:
            message = f"{', '.join(sorted(undefined))} is not defined: no validation label is of that class"
            raise UserError([Problem(None, None, "fitness", message)])
        return float(expression(self.epoch_metrics))

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Fail at once if the settings say so; else recover from last.pt as upstream does, if the *loss* diverged.

        A fitness that is not finite while the loss is says that the expression has no value, such as a quotient by 0
        in an early epoch. Training the epoch again cannot change that, so the epoch is kept and is never the best.

        Raises:
            NonFinite: on every rank, with `on_nan: fail`.
        """
        if self.settings.on_nan == "fail":
            what = from_rank_0(self._non_finite() if is_main() else None)
            if what is not None:
                raise NonFinite(epoch + 1, what)
            return False
        fitness = self.fitness
        if self._fitness is not None and fitness is not None and not math.isfinite(fitness):
            LOGGER.warning(f"the fitness of epoch {epoch + 1} is {fitness}, which is never the best")
            self.fitness = None
        try:
            return bool(super()._handle_nan_recovery(epoch))
        finally:
            self.fitness = fitness

    def _non_finite(self) -> str | None:
        if self.loss is not None and not bool(torch.isfinite(self.loss).all()):
            return "loss"
        if self.fitness is not None and not np.isfinite(self.fitness).all():
            return "fitness"
        return None

"""One fitness decides best.pt, early stopping and what is reported: the stock one, or the settings' expression.

Of several objectives it is the first; the others are values of an epoch that decide nothing here.

Constraints go before it: the best epoch is the one of the best fitness among those that keep all of them, and if there
is none, the one that violates them least.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import EarlyStopping

from raytrainer.config.constraints import Constraint, RuledOut, parse_constraint, total, violations
from raytrainer.config.fitness import Fitness, parse_fitness
from raytrainer.config.layout import MEASURED_FILE
from raytrainer.config.metric_names import MEASURED
from raytrainer.config.objectives import listed
from raytrainer.config.problems import Problem, UserError, counted, suggest
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.measured import measured
from raytrainer.trainer.metrics import added_columns, metric_names, named_metrics
from raytrainer.trainer.ranks import from_rank_0, is_main

LOSS = "loss"


class NonFinite(RuntimeError):
    """A loss or fitness was infinite or not a number where the run fails then."""

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
            message = f"no better fitness for {counted(self.patience, 'epoch')}: stopped, best at epoch"
            LOGGER.info(f"{message} {self.best_epoch}")
        return bool(waited >= self.patience)


BELOW_ALL = -1e300
"""What an epoch that violates something is worth at most: below any fitness, and lower the more it violates."""


def worth(fitness: float, violated: float) -> float:
    """What upstream takes for the fitness, which orders epochs: the fitness of one that violates nothing."""
    return fitness if not violated or not math.isfinite(fitness) else BELOW_ALL * (1 + violated)


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
    """Runs on `validate` and `_handle_nan_recovery`, and measures the architecture if it is asked about.

    Upstream raises `best_fitness` to the stock fitness before a caller sees either, so that a fitness on a smaller
    scale would never be the best. Here the best is remembered, upstream validates, and the comparison is made anew.
    """

    events = {"on_pretrain_routine_end": "_prepare_fitness"}

    epoch_metrics: Mapping[str, float] = {}
    """Metrics of the last validation by the names of the fitness expression, unrounded. Empty on ranks above 0."""
    epoch_fitness = math.nan
    """The fitness of the last validation; `fitness` is what it is worth (see `worth`)."""
    epoch_others: Sequence[float] = ()
    """What the other objectives were then."""
    epoch_violations: Sequence[float] = ()
    """How far each constraint was violated then."""
    measurements: Mapping[str, float] = {}
    """Of the architecture (see `raytrainer.trainer.measured`); empty if nothing asks for them."""
    measured_for: Path | None = None
    """Folder of measurements that the runs of a study share."""
    validated_epoch = -1
    """The epoch of the last validation, counted from 0; with `val=False` most epochs have none."""

    best_fitness: float | None
    fitness: float | None
    stopper: EarlyStopping

    @cached_property
    def _objectives(self) -> list[Fitness]:
        return [parse_fitness(text) for text in listed(self.settings.fitness or [])]

    @property
    def _fitness(self) -> Fitness | None:
        return self._objectives[0] if self._objectives else None

    @cached_property
    def _constraints(self) -> list[Constraint]:
        return [parse_constraint(text) for text in self.settings.subject_to]

    def _asked(self) -> list[tuple[str, Fitness]]:
        """Every expression, with the setting that holds it."""
        own = [("fitness", objective) for objective in self._objectives]
        return [*own, *(("subject_to", constraint.left) for constraint in self._constraints)]

    def _prepare_fitness(self) -> None:
        if not self._asked():
            return
        available = [*metric_names(self.validator.metrics, self.data["names"]), *MEASURED]
        counts = self._validation_counts()
        wrong = [(key, message) for key, asked in self._asked() for message in unusable(asked, available, counts)]
        if wrong:
            raise UserError([Problem(None, None, key, message) for key, message in wrong])
        self._measure()
        stopper = Patience(self.args.patience)
        if self.best_fitness is not None:  # resumed: the stock stopper was given the saved state
            stopper.__dict__.update(self.stopper.__dict__)
        self.stopper = stopper

    def _measure(self) -> None:
        """Measure the architecture on rank 0, if anything asks for it, and hold a trial's against its constraints.

        Raises:
            RuledOut: on every rank, if it violates one and the run is one of a study.
        """
        if not any(asked.may_use(MEASURED) for _, asked in self._asked()):
            return
        own = Path(self.save_dir) / MEASURED_FILE
        self.measurements = from_rank_0(measured(self, own, self.measured_for) if is_main() else {})
        if self.measured_for is None:
            return
        known = [each for each in self._constraints if each.known_before]
        if broken := [each for each in known if each.violation(self.measurements) > 0]:
            reason = "; ".join(each.told(self.measurements) for each in broken)
            each = [c.violation(self.measurements) if c.known_before else 0.0 for c in self._constraints]
            raise RuledOut(reason, each)

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
        self.epoch_metrics = {**named_metrics(self.validator.metrics, self.data["names"]), **self.measurements}
        self._all_defined()
        self.epoch_fitness = float(fitness if self._fitness is None else self._fitness(self.epoch_metrics))
        self.epoch_others = [objective(self.epoch_metrics) for objective in self._objectives[1:]]
        self.epoch_violations = violations(self._constraints, self.epoch_metrics)
        if self._asked():
            fitness = worth(self.epoch_fitness, total(self.epoch_violations))
            self.best_fitness = better(best, fitness)
        return {**metrics, **added_columns(self.epoch_metrics)}, fitness

    def _all_defined(self) -> None:
        for key, asked in self._asked():
            undefined = [name for name in asked.metrics if math.isnan(self.epoch_metrics.get(name, 0.0))]
            if undefined:
                message = f"{', '.join(sorted(undefined))} is not defined: no validation label is of that class"
                raise UserError([Problem(None, None, key, message)])

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Fail at once if the settings say so; else recover from last.pt as upstream does, if the *loss* diverged.

        A fitness that is not finite while the loss is says that the expression has no value, such as a quotient by 0
        in an early epoch. Training the epoch again cannot change that: a run by itself keeps the epoch, which is never
        the best, and a study's run fails, since every epoch of it is compared. It fails before the epoch is kept, so
        that it trains it again if the study is mended and goes on.

        Raises:
            NonFinite: on every rank, with `on_nan: fail`, or in a study if it is not the loss.
        """
        fails = self.settings.on_nan == "fail"
        if fails or self.measured_for is not None:
            what = from_rank_0(self._non_finite() if is_main() else None)
            if what is not None and (fails or what != LOSS):
                raise NonFinite(epoch + 1, what)
        if fails:
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
            return LOSS
        if self.fitness is not None and not np.isfinite(self.fitness).all():
            return "fitness"
        pairs = zip(self._objectives[1:], self.epoch_others, strict=False)
        return next((f"objective {other.text}" for other, value in pairs if not math.isfinite(value)), None)

"""What a budget that plans finds, and what `search.min_gain` saves and costs: whole studies, in virtual time.

The first table holds a study with `search.budget: {epochs: ...}` against the same one without a budget that is cut when
as many epochs are spent; the second one that has a budget and `search.min_gain` against the same one without the gain.
What counts is the trial that the product names best, scored by its true accuracy after the last epoch. Regret is 0 for
the best of 20,000 random configurations and 1 for the median one. Budgets are in full trainings' epochs.

Needs `onnxruntime` and the surrogate at ../shared/data/yahpo/lcbench. A study is kept in a file as soon as it is done;
the same command later goes on from there.
"""

from __future__ import annotations

import statistics
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import optuna
from lcbench import EPOCHS, SPACE, TASKS, Task, missing, yardstick
from virtual_time import simulate

from measuring import Kept, options, publish, standard_error, table
from raytrainer.config.space import Budget, Search, Space
from raytrainer.search.study import Study

Result = dict[str, Any]
Pairs = list[tuple[Result, Result]]
"""Of runs with what is measured, and of their peers."""


@dataclass(frozen=True)
class Setting:
    """One study."""

    trainings: int
    """Epochs in all, in full trainings."""
    planned: bool
    """Whether the study knows; it is cut when they are spent."""
    min_gain: float | None
    workers: int
    noise: float
    task: str
    seed: int

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.trainings * EPOCHS

    @property
    def peer(self) -> Setting:
        """The same study without a gain; without a budget, if it has none."""
        return replace(self, planned=False) if self.min_gain is None else replace(self, min_gain=None)

    @property
    def space(self) -> Space:
        """What the study is asked for."""
        bound: dict[str, Any] = {"budget": Budget(epochs=self.epochs)} if self.planned else {"trials": self.epochs}
        return Space(
            model="surrogate",
            data="surrogate",
            train={"epochs": EPOCHS},
            space=dict(SPACE),
            search=Search(seed=self.seed, min_gain=self.min_gain, **bound),
        )


class Driven:
    """A study as `virtual_time.Search`, driven as `StudyScheduler` drives it."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def ask(self) -> tuple[int, Mapping[str, Any]] | None:
        """See `virtual_time.Search`."""
        handle = self._study.ask()
        return None if handle is None else (handle.number, handle.params)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """See `virtual_time.Search`."""
        self._study.report(number, epoch, value)
        if epoch == EPOCHS:
            self._study.finish(number, "complete")
        elif self._study.should_stop(number):
            self._study.give_up(number)
        return self._study.snapshot()[number].state == "running"

    def fail(self, number: int) -> None:
        """See `virtual_time.Search`."""
        self._study.finish(number, "failed", "a crash")


def run(setting: Setting) -> Result:
    """Runs a study in a temporary folder: accuracy and regret of its best, what it took, whether it found enough."""
    task = Task(setting.task)
    with TemporaryDirectory(prefix="budgets-") as folder, Study.open(Path(folder), setting.space) as study:
        spent, workers = [setting.epochs], setting.workers
        simulate(Driven(study), task.curve, spent, workers, noise=setting.noise, seed=setting.seed)
        best, standing, views = study.best(), study.standing(), study.snapshot()
        epochs = study.epochs
    assert best is not None
    assert standing.over or epochs == setting.epochs
    accuracy = float(task.final([best.params])[0])
    top, median = yardstick(setting.task)
    return {
        "accuracy": accuracy,
        "regret": (top - accuracy) / (top - median),
        "epochs": epochs,
        "trials": len(views),
        "full": sum(view.state == "complete" for view in views),
        "enough": standing.enough is not None,
    }


def planning(settings: Sequence[Setting], kept: Kept) -> str:
    """Budgets that plan beside those that cut."""
    header = ["full trainings", "workers", "noise", "study", "runs (seeds)", "regret", "planned less cut"]
    return table([*header, "full trials", "trials", "epochs"], _planning(settings, kept))


def _planning(settings: Sequence[Setting], kept: Kept) -> Iterator[list[str]]:
    for setting, seeds, pairs in _groups(settings, kept):
        about = [str(setting.trainings), str(setting.workers), f"{setting.noise:g}"]
        runs = f"{len(pairs)} ({seeds})"
        for side, name in enumerate(("planned", "cut")):
            results = [pair[side] for pair in pairs]
            gain = "" if side else _mean([ours["regret"] - theirs["regret"] for ours, theirs in pairs], "+.3f")
            taken = [f"{statistics.fmean(result[key] for result in results):.1f}" for key in ("full", "trials")]
            share = statistics.fmean(result["epochs"] for result in results) / setting.epochs
            yield [*about, name, runs, _mean([r["regret"] for r in results], "+.3f"), gain, *taken, f"{share:.1%}"]


def gains(settings: Sequence[Setting], kept: Kept) -> str:
    """Studies with `search.min_gain` beside those without."""
    header = ["full trainings", "workers", "noise", "min_gain", "runs (seeds)", "ended early", "epochs", "regret"]
    rows = dict.fromkeys(_gains(settings, kept))  # those without are the same beside every gain
    return table([*header, "epochs saved", "accuracy lost", "at most", "regret added"], rows)


def _gains(settings: Sequence[Setting], kept: Kept) -> Iterator[tuple[str, ...]]:
    for setting, seeds, pairs in _groups(settings, kept):
        about = [str(setting.trainings), str(setting.workers), f"{setting.noise:g}"]
        for side, name in ((1, "none"), (0, f"{setting.min_gain:g}")):
            results = [pair[side] for pair in pairs]
            early = f"{sum(result['enough'] for result in results)} of {len(results)}"
            share = statistics.fmean(result["epochs"] for result in results) / setting.epochs
            regret = _mean([result["regret"] for result in results], "+.3f")
            cost = [""] * 4 if side else _cost(pairs)
            yield (*about, name, f"{len(pairs)} ({seeds})", early, f"{share:.1%}", regret, *cost)


def _cost(pairs: Pairs) -> list[str]:
    """Epochs saved, accuracy lost, by one study at most, and regret added by what the first of each pair has."""
    lost = [theirs["accuracy"] - ours["accuracy"] for ours, theirs in pairs]
    return [
        _mean([1 - ours["epochs"] / theirs["epochs"] for ours, theirs in pairs], ".1%"),
        _mean(lost, "+.3f"),
        f"{max(lost):+.2f}",
        _mean([ours["regret"] - theirs["regret"] for ours, theirs in pairs], "+.4f"),
    ]


def _groups(settings: Sequence[Setting], kept: Kept) -> Iterator[tuple[Setting, int, Pairs]]:
    """Rows: what their studies are asked for, how many seeds, and each study beside its peer."""
    rows: dict[Setting, dict[tuple[str, int], tuple[Result, Result]]] = {}
    for setting in settings:
        ours, theirs = (kept.get(asdict(each), partial(run, each)) for each in (setting, setting.peer))
        rows.setdefault(replace(setting, task="", seed=0), {})[setting.task, setting.seed] = (ours, theirs)
    for row, results in rows.items():
        yield row, len({seed for _, seed in results}), list(results.values())


def _mean(values: Sequence[float], form: str) -> str:
    error = f" ± {standard_error(values):{form.lstrip('+')}}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{form}}{error}"


def main() -> None:
    """Runs what the command line asks for and prints both tables."""
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--workers", nargs="+", type=int, default=[4, 8], help="second table: the first of them")
    parser.add_argument("--budgets", nargs="+", type=int, default=[5, 10, 20], help="full trainings, first table")
    parser.add_argument("--seeds", type=int, default=5, help="first table")
    parser.add_argument("--gains", nargs="+", type=float, default=[0.05, 0.2, 1.0], help="accuracy points")
    parser.add_argument("--gain-budget", type=int, default=50, help="full trainings, second table")
    parser.add_argument("--gain-seeds", type=int, default=2, help="second table")
    parser.add_argument(
        "--noise", nargs="+", type=float, default=[0.0, 0.5],
        help="accuracy points, standard deviation of every epoch, second table",
    )  # fmt: skip
    parser.add_argument("--only-kept", action="store_true", help="run nothing: the tables of those pairs that are kept")
    parser.add_argument("--kept", type=Path, default=Path(gettempdir()) / "budgets.jsonl", help="results so far")
    args = parser.parse_args()
    if lacking := missing():
        parser.exit(0, f"budgets: {lacking}\n")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept = Kept(args.kept)
    budgets, least = (
        [each for each in asked(args) if not args.only_kept or (asdict(each) in kept and asdict(each.peer) in kept)]
        for asked in (_planned, _gaining)
    )
    publish("budgets", f"{planning(budgets, kept)}\n\n{gains(least, kept)}", write=args.write)


def _planned(args: Namespace) -> Iterator[Setting]:
    for seed, trainings, workers, task in product(range(args.seeds), args.budgets, args.workers, args.tasks):
        yield Setting(trainings, True, None, workers, 0.0, task, seed)


def _gaining(args: Namespace) -> Iterator[Setting]:
    for seed, task, noise, gain in product(range(args.gain_seeds), args.tasks, args.noise, args.gains):
        yield Setting(args.gain_budget, True, gain, args.workers[0], noise, task, seed)


if __name__ == "__main__":
    main()

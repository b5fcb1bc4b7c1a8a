"""Which search finds most per epoch: regret on learning curves of a surrogate, in virtual time.

Every search is driven in virtual time but `auto, through Ray`, which is the product's own run with trials that sleep.
Regret is 0 for the best of 20,000 random configurations and 1 for the median one. The incumbent is the trial with the
best value seen at any epoch, scored by its accuracy at the last. Budgets are in full trainings' epochs.

`gp`, Optuna's GPSampler, and `random` run under this product's stopping rule, `gp` as it gives it to users: what was
stopped is complete to it, with what it had. Without that it would draw at random until ten trials are complete.

Needs `onnxruntime` and the surrogate at ../shared/data/yahpo/lcbench. A run of one search on one task with one seed is
kept in a file as soon as it is done; the same command later goes on from there. Those of the rows that were measured
last are in results/search_quality.jsonl, for `--kept`.
"""

from __future__ import annotations

import statistics
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import optuna
from lcbench import EPOCHS, SPACES, TASKS, Task, missing, yardstick
from search_mobster import Mobster
from search_ray import REAL, through_ray
from search_strategies import Peer, Product
from virtual_time import Outcome, simulate

from measuring import BENCHMARKS, Kept, options, publish, standard_error, table, updated

SEARCHES: dict[str, Callable[..., Any]] = {
    "auto": partial(Product, sampler="auto"),
    "auto, promoted": partial(Product, sampler="auto", pruner="asha-promote"),
    "tpe": partial(Product, sampler="tpe"),
    "random": partial(Product, sampler="random"),
    "gp": partial(Product, sampler="gp"),
    "mobster": Mobster,
    "peer": Peer,
    REAL: through_ray,
}
PEER = "peer"
ABOUT = ("space", "workers", "noise", "failing", "default first", "search")
"""What a row of the table is about."""


Results = dict[tuple[Any, ...], dict[str, Any]]
"""Of one search, by what two searches are compared on."""


@dataclass(frozen=True)
class Setting:
    """One run."""

    search: str
    default_first: bool
    task: str
    seed: int
    workers: int
    noise: float
    failing: float
    space: str
    budgets: tuple[int, ...]

    @property
    def group(self) -> tuple[Any, ...]:
        """What makes a row of the table, but for the search."""
        return self.space, self.workers, self.noise, self.failing, self.default_first

    @property
    def pair(self) -> tuple[Any, ...]:
        """What two searches are compared on within a row."""
        return self.task, self.seed


def run(setting: Setting) -> dict[str, Any]:
    """Regret at each budget, number of trials, and CPU milliseconds a suggestion where measured: mean and longest."""
    budgets = [budget * EPOCHS for budget in setting.budgets]
    outcome, spent = (_real if setting.search == REAL else _simulated)(setting, budgets)
    best, median = yardstick(setting.task)
    regret = [(best - found) / (best - median) for found in outcome.found]
    cost = {"mean_ms": statistics.fmean(spent), "longest_ms": max(spent)} if spent else {}
    return {"regret": regret, "trials": outcome.trials, **cost}


def _simulated(setting: Setting, budgets: Sequence[int]) -> tuple[Outcome, list[float]]:
    """The outcome in virtual time, and CPU milliseconds of every suggestion."""
    space = SPACES[setting.space]
    search = SEARCHES[setting.search](seed=setting.seed, space=space, default_first=setting.default_first)
    curve, noise, failing = Task(setting.task).curve, setting.noise, setting.failing
    outcome = simulate(search, curve, budgets, setting.workers, noise=noise, failing=failing, seed=setting.seed)
    return outcome, search.milliseconds


def _real(setting: Setting, budgets: Sequence[int]) -> tuple[Outcome, list[float]]:
    if not setting.default_first or setting.noise or setting.failing:
        raise ValueError(f"{REAL} has the default first, no noise and no failures")
    return through_ray(setting.task, budgets, setting.workers, setting.seed, SPACES[setting.space]), []


def rows(settings: Sequence[Setting], kept: Kept, beside: str = PEER) -> Iterator[list[str]]:
    """One row for each search and group of runs, with how much less its regret is than that of the search `beside`."""
    groups: dict[tuple[Any, ...], dict[str, Results]] = {}
    for setting in settings:
        group = groups.setdefault(setting.group, {}).setdefault(setting.search, {})
        group[setting.pair] = kept.get(asdict(setting), partial(run, setting))
    for (space, workers, noise, failing, default_first), searches in groups.items():
        about = [space, str(workers), f"{noise:g}", f"{failing:.0%}", "yes" if default_first else "no"]
        for search, results in searches.items():
            others = searches.get(beside, {}) if search != beside else {}
            seeds = {seed for _, seed in results}
            yield [*about, search, f"{len(results)} ({len(seeds)})", *_cells(results, others)]


def _cells(results: Results, others: Results) -> Iterator[str]:
    """Regret at each budget and how much less than another search's on the same runs; milliseconds; trials."""
    for place in range(len(next(iter(results.values()))["regret"])):
        regret = {pair: result["regret"][place] for pair, result in results.items()}
        gains = [value - others[pair]["regret"][place] for pair, value in regret.items() if pair in others]
        yield _mean(list(regret.values()))
        yield _mean(gains) if gains else ""
    for key in ("mean_ms", "trials"):
        known = [result[key] for result in results.values() if key in result]
        yield f"{statistics.fmean(known):.0f}" if known else ""


def _mean(values: Sequence[float]) -> str:
    error = f" ± {standard_error(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):+.3f}{error}"


def main() -> None:
    """Runs what the command line asks for and prints the table."""
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=["auto", "tpe", "random", PEER])
    parser.add_argument("--default", nargs="+", choices=["yes", "no"], default=["yes", "no"], help="default first")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", nargs="+", type=int, default=[4])
    parser.add_argument("--budgets", nargs="+", type=int, default=[20, 50], help="full trainings")
    parser.add_argument(
        "--noise", nargs="+", type=float, default=[0.0], help="accuracy points, standard deviation of every epoch"
    )
    parser.add_argument("--failing", nargs="+", type=float, default=[0.0], help="share of trials that crash")
    parser.add_argument("--space", nargs="+", choices=SPACES, default=["plain"], help="mixed: half of it categorical")
    parser.add_argument("--beside", choices=SEARCHES, default=PEER, help="whose regret differences are taken from")
    parser.add_argument("--only-kept", action="store_true", help="run nothing: the table of those runs that are kept")
    parser.add_argument(
        "--add", action="store_true", help="to the published table, whose ms stay: they vary by machine"
    )
    parser.add_argument("--kept", type=Path, default=Path(gettempdir()) / "search_quality.jsonl", help="results so far")
    args = parser.parse_args()
    if lacking := missing():
        parser.exit(0, f"search_quality: {lacking}\n")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept = Kept(args.kept)
    settings = [setting for setting in _asked(args) if not args.only_kept or asdict(setting) in kept]
    if not settings:
        parser.error(f"{args.kept} has none of these runs")
    whose = "the peer" if args.beside == PEER else args.beside
    budgets = [cell for budget in args.budgets for cell in (f"B = {budget}", f"less {whose}'s")]
    header = [*ABOUT, "runs (seeds)", *budgets, "ms", "trials"]
    measured = list(rows(settings, kept, args.beside))
    publish("search_quality", _added(header, measured) if args.add else table(header, measured), write=args.write)


def _added(header: Sequence[str], measured: Sequence[list[str]]) -> str:
    """The published table with these rows; milliseconds stay as they are, since they compare within one run only."""
    published = (BENCHMARKS / "results" / "search_quality.md").read_text()
    return updated(published, header, measured, group=len(ABOUT) - 1, stays="ms")


def _asked(args: Namespace) -> Iterator[Setting]:
    """All runs that the command line asks for, those first that can be compared first."""
    outer = product(args.space, args.workers, args.noise, args.failing, args.default)
    for space, workers, noise, failing, default in outer:
        for search, seed, task in product(args.searches, range(args.seeds), args.tasks):
            first, budgets = default == "yes", tuple(args.budgets)
            yield Setting(search, first, task, seed, workers, noise, failing, space, budgets)


if __name__ == "__main__":
    main()

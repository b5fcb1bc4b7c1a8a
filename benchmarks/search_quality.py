"""Which search finds most per epoch: regret on learning curves of a surrogate, in virtual time.

Regret is 0 for the best of 20,000 random configurations and 1 for the median one. The incumbent is the trial with the
best value seen at any epoch, scored by its accuracy at the last. Budgets are in full trainings' epochs.

Needs `onnxruntime` and the surrogate at ../shared/data/yahpo/lcbench. A run of one search on one task with one seed is
kept in a file as soon as it is done; the same command later goes on from there.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import optuna
from lcbench import EPOCHS, FOLDER, SPACES, TASKS, Task, yardstick
from search_mobster import Mobster
from search_strategies import Peer, Product
from virtual_time import simulate

from measuring import Kept, options, publish, standard_error, table

SEARCHES: dict[str, Callable[..., Any]] = {
    "auto": partial(Product, sampler="auto"),
    "auto, promoted": partial(Product, sampler="auto", pruner="asha-promote"),
    "tpe": partial(Product, sampler="tpe"),
    "random": partial(Product, sampler="random"),
    "gp": partial(Product, sampler="gp"),
    "mobster": Mobster,
    "peer": Peer,
}
PEER = "peer"


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
    def pair(self) -> tuple[Any, ...]:
        """What two searches are compared on."""
        return self.default_first, self.task, self.seed, self.workers


def run(setting: Setting) -> dict[str, Any]:
    """Regret at each budget, number of trials, and CPU milliseconds a suggestion: mean and longest."""
    search = SEARCHES[setting.search](
        seed=setting.seed, space=SPACES[setting.space], default_first=setting.default_first
    )
    outcome = simulate(
        search,
        Task(setting.task).curve,
        [budget * EPOCHS for budget in setting.budgets],
        setting.workers,
        noise=setting.noise,
        failing=setting.failing,
        seed=setting.seed,
    )
    best, median = yardstick(setting.task)
    regret = [(best - found) / (best - median) for found in outcome.found]
    spent = search.milliseconds
    return {"regret": regret, "trials": outcome.trials, "mean_ms": statistics.fmean(spent), "longest_ms": max(spent)}


def rows(settings: Sequence[Setting], kept: Kept) -> Iterator[list[str]]:
    """One row for each search, with and without the default first and by number of workers."""
    groups: dict[tuple[bool, int, str], dict[tuple[Any, ...], dict[str, Any]]] = {}
    for setting in settings:
        group = groups.setdefault((setting.default_first, setting.workers, setting.search), {})
        group[setting.pair] = kept.get(asdict(setting), partial(run, setting))
    for (default_first, workers, search), results in groups.items():
        peers = groups.get((default_first, workers, PEER), {})
        cells = [search, "yes" if default_first else "no", str(workers), str(len(results))]
        for place in range(len(settings[0].budgets)):
            regret = {pair: result["regret"][place] for pair, result in results.items()}
            gains = [value - peers[pair]["regret"][place] for pair, value in regret.items() if pair in peers]
            cells += [_mean(list(regret.values())), _mean(gains) if gains and search != PEER else ""]
        cells.append(f"{statistics.fmean(result['mean_ms'] for result in results.values()):.0f}")
        cells.append(f"{statistics.fmean(result['trials'] for result in results.values()):.0f}")
        yield cells


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
    parser.add_argument("--noise", type=float, default=0.0, help="accuracy points, standard deviation of every epoch")
    parser.add_argument("--failing", type=float, default=0.0, help="share of trials that crash")
    parser.add_argument("--space", choices=SPACES, default="plain", help="mixed: half categorical or conditional")
    parser.add_argument("--kept", type=Path, default=Path(gettempdir()) / "search_quality.jsonl", help="results so far")
    args = parser.parse_args()
    if not FOLDER.is_dir() or find_spec("onnxruntime") is None:
        parser.exit(0, f"search_quality: skipped, it needs onnxruntime and the surrogate at {FOLDER}\n")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chosen = product(args.workers, args.default, args.searches, range(args.seeds), args.tasks)
    settings = [
        Setting(
            search, default == "yes", task, seed, workers, args.noise, args.failing, args.space, tuple(args.budgets)
        )
        for workers, default, search, seed, task in chosen
    ]
    budgets = [cell for budget in args.budgets for cell in (f"B = {budget}", "less the peer's")]
    header = ["search", "default first", "workers", "runs", *budgets, "ms", "trials"]
    publish("search_quality", table(header, rows(settings, Kept(args.kept))), write=args.write)


if __name__ == "__main__":
    main()

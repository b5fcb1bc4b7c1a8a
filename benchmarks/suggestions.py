"""What a suggestion costs as a study grows: CPU milliseconds of this sampler beside Optuna's, in plain Optuna.

Each study is in memory, its trials stopped early as successive halving stops them, with values of an analytic function
of their parameters at every epoch that they had. A sampler is asked several times, the trials that it suggested then
running; made afresh each time, as a driver does that may be killed at any moment. A second table has studies of other
kinds, with constraints, several objectives, paused trials and long curves, as the product asks for their suggestions.
"""

from __future__ import annotations

import statistics
import time
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import optuna
from lcbench import EPOCHS, SPACES
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from suggestion_kinds import KINDS
from suggestion_kinds import spent as spent_of_kind

from measuring import options, publish, table
from raytrainer.config.parameters import Parameter
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.gp.sampler import MultiFidelitySampler
from raytrainer.search.suggestion import distribution, draw

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "auto": lambda seed: MultiFidelitySampler(seed, max_epochs=EPOCHS),
    "Optuna's TPESampler, multivariate": lambda seed: TPESampler(multivariate=True, constant_liar=True, seed=seed),
    "Optuna's GPSampler": lambda seed: GPSampler(seed=seed),
}
"""By name, from a seed. TPE is set up as Ultralytics does it through Ray."""
SIZES = (10, 20, 50, 100, 150, 200, 300, 500, 700, 1000)
RUNGS = (3, 9)
"""Epochs after which two of three trials are stopped."""

GP_NOTE = "GPSampler models those that ended at full length, one of nine, and draws at random until there are ten."


def grown(space: Mapping[str, Parameter], size: int, seed: int) -> optuna.Study:
    """A study with so many ended trials, drawn at random."""
    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed))
    rng = np.random.default_rng(seed)
    distributions = {name: distribution(parameter) for name, parameter in space.items()}
    encoding = Encoding(distributions)
    for _ in range(size):
        asked = study.ask()
        draw(asked, space)
        point = np.nan_to_num(encoding.encode([asked.params])[0], nan=0.5)
        last = next((rung for rung in RUNGS if rng.random() < 2 / 3), EPOCHS)
        curve = {epoch: float(_value(point, epoch)) for epoch in range(1, last + 1)}
        for epoch, value in curve.items():
            asked.report(value, epoch)
        study.tell(asked, curve[last] if last == EPOCHS else None, state=_state(last))
    return study


def _value(point: Any, epoch: int) -> Any:
    return -np.square(point - 0.3).sum() - np.exp(-epoch / (2 + 10 * point[0]))


def _state(last: int) -> TrialState:
    return TrialState.COMPLETE if last == EPOCHS else TrialState.PRUNED


def spent(study: optuna.Study, space: Mapping[str, Parameter], name: str, asks: int) -> list[float]:
    """CPU milliseconds of each of so many suggestions, one after the other."""
    trials = study.get_trials(deepcopy=False)
    found = []
    for ask in range(asks):
        study.sampler = SAMPLERS[name](len(trials) + ask)
        begun = time.process_time()
        draw(study.ask(), space)
        found.append(1000 * (time.process_time() - begun))
    return found


def rows(args: Namespace) -> Iterator[list[str]]:
    """One for each size of each space."""
    for space in args.space:
        for size in args.sizes:
            cells = []
            for name in SAMPLERS:
                each = spent(grown(SPACES[space], size, args.seed), SPACES[space], name, args.asks)
                cells.append(f"{statistics.median(each):.0f} ({max(each):.0f})")
            yield [space, str(size), *cells]


def kinds(args: Namespace) -> Iterator[list[str]]:
    """One for each kind of study, the longest of those asked for."""
    for name in args.kinds:
        each = spent_of_kind(KINDS[name], max(args.sizes), args.asks, args.seed)
        yield [name, str(max(args.sizes)), f"{statistics.median(each):.0f} ({max(each):.0f})"]


def main() -> None:
    """Print the tables."""
    parser = options((__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="ended trials")
    parser.add_argument("--space", nargs="+", choices=SPACES, default=list(SPACES), help="of the first table")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of the second table")
    parser.add_argument("--asks", type=int, default=5, help="suggestions of each sampler at each size")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    header = ["space", "trials", *(f"{name}, ms" for name in SAMPLERS)]
    note = f"CPU time of all threads: the median of {args.asks} suggestions, and the longest. " + GP_NOTE
    tables = [table(header, rows(args)), table(["kind of study", "trials", "auto, ms"], kinds(args))]
    publish("suggestions", "\n\n".join([*tables, note]), write=args.write)


if __name__ == "__main__":
    main()

"""The sampler on the product's own ledger, with every kind of parameter of a space, conditions among them."""

from __future__ import annotations

from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from raytrainer.config.conditions import is_active
from raytrainer.config.parameters import Scalar
from raytrainer.search.disk import MemoryDisk
from raytrainer.search.gp.sampler import MultiFidelitySampler
from raytrainer.search.ledger import Ledger
from raytrainer.search.suggestion import draw
from raytrainer.search.writer import Directly
from search.studies import CONDITIONAL, EPOCHS, fitness

TRIALS = 30


def suggest(ledger: Ledger) -> int:
    return ledger.suggest(MultiFidelitySampler(seed=5, max_epochs=EPOCHS), None, lambda trial: draw(trial, CONDITIONAL))


def run(storage: InMemoryStorage, *, restarts: bool) -> list[dict[str, Scalar]]:
    """Two workers in turn; every seventh trial fails, every other one is cut after two epochs."""
    ledger, suggested = Ledger(MemoryDisk(storage), "conditional", Directly()), []
    waiting = suggest(ledger)
    for _ in range(TRIALS):
        ledger = Ledger(MemoryDisk(storage), "conditional", Directly()) if restarts else ledger
        number, waiting = waiting, suggest(ledger)
        params = ledger.trial(number).params
        suggested.append(params)
        for epoch in range(1, EPOCHS + 1 if number % 2 else 3):
            ledger.report(number, epoch, fitness(params, epoch))
        state = TrialState.FAIL if number % 7 == 0 else TrialState.COMPLETE if number % 2 else TrialState.PRUNED
        ledger.finish(number, state, [] if state == TrialState.FAIL else [fitness(params, 2)])
    return suggested


def test_suggestions_are_of_the_space_and_do_not_depend_on_restarts() -> None:
    undisturbed = run(InMemoryStorage(), restarts=False)
    assert run(InMemoryStorage(), restarts=True) == undisturbed
    for params in undisturbed:
        assert all(CONDITIONAL[name].holds(value) for name, value in params.items())
        assert set(params) == {name for name, parameter in CONDITIONAL.items() if is_active(parameter, params)}


def test_late_suggestions_are_better_than_early_ones() -> None:
    ends = [fitness(params, EPOCHS) for params in run(InMemoryStorage(), restarts=False)]
    assert sum(ends[-10:]) / 10 > sum(ends[:6]) / 6 + 0.05

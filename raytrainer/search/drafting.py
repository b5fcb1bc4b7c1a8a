"""Where a new trial's parameters come from: the first has the space's defaults, the sampler suggests the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raytrainer.config.assemble import defaults
from raytrainer.config.parameters import Scalar
from raytrainer.config.space import Space
from raytrainer.search.ledger import Ledger
from raytrainer.search.samplers import suggester_of
from raytrainer.search.suggestion import distribution, draw_noted
from raytrainer.search.views import TrialView


@dataclass(frozen=True)
class TrialHandle:
    """A trial to run: its number in the study and the searched parameters that are active in it."""

    number: int
    params: dict[str, Scalar]
    amended: dict[str, Any] = field(default_factory=dict)
    """Training arguments that this trial alone has, over those of the space; kept as the note of that name."""
    later: tuple[tuple[int, Mapping[str, Scalar]], ...] = ()
    """Epochs done, and the values from then on, if they change while it trains (see `population`)."""

    @classmethod
    def of(cls, view: TrialView) -> TrialHandle:
        """From what the study holds of it."""
        first, *changes = view.lineage
        later = tuple((stage.epoch, dict(stage.values)) for stage in changes)
        return cls(view.number, dict(first.values), dict(view.notes.get("amended", {})), later)


class Drafter:
    """Adds trials to a ledger.

    Raises:
        UserError: if the sampler is unknown or refuses its arguments.
    """

    def __init__(self, space: Space) -> None:
        self._space, self._suggester = space, suggester_of(space)

    def draft(self, ledger: Ledger, views: Sequence[TrialView]) -> int:
        """The number of a new running trial; `views` are all before it."""
        if not views:
            params = dict(sorted(defaults(self._space).items()))
            distributions = {name: distribution(self._space.space[name]) for name in params}
            return ledger.add(params, distributions, source="defaults")
        sampler, shown = self._suggester.sampler(len(views)), self._suggester.shown(ledger.trials())
        return ledger.suggest(sampler, shown, lambda trial: draw_noted(trial, self._space, views))

"""A view back as a trial of Optuna's, for what models a study from its views alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from raytrainer.config.space import Space
from raytrainer.search.epoch_notes import attrs_of
from raytrainer.search.suggestion import distribution
from raytrainer.search.views import STATES, TrialView

STATE_OF = {shown: state for state, shown in STATES.items()} | {"paused": TrialState.PRUNED}


def frozen(
    view: TrialView,
    space: Space,
    *,
    running: bool = False,
    until: int | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """The trial, a paused one as pruned.

    Args:
        view: of a trial of `space`.
        space: the study's.
        running: as it was before it ended.
        until: the last epoch that it shows; None shows all.
        attrs: its user attributes.
    """
    state = TrialState.RUNNING if running else STATE_OF[view.state]
    ended = state in (TrialState.COMPLETE, TrialState.PRUNED) and view.best_fitness is not None
    return FrozenTrial(
        number=view.number,
        state=state,
        value=None,
        values=view.objectives if ended else None,
        datetime_start=view.started,
        datetime_complete=(view.ended or view.started) if state.is_finished() else None,
        params=dict(view.params),
        distributions={key: distribution(space.space[key]) for key in view.params},
        user_attrs=dict(attrs or {}),
        system_attrs=attrs_of(view.violations, view.others, view.constraints if state.is_finished() else (), until),
        intermediate_values={epoch: value for epoch, value in view.values.items() if until is None or epoch <= until},
        trial_id=view.number,
    )

"""How much a study may take."""

from __future__ import annotations

from raytrainer.config.space import Search


def spent(search: Search, epochs: int, seconds: float) -> str | None:
    """Which budget is spent that running trials draw on as well, in words; None while there is some of each left.

    Args:
        search: what was asked for.
        epochs: reported so far, over all trials.
        seconds: that drivers have spent on the study.
    """
    if search.epoch_budget is not None and epochs >= search.epoch_budget:
        return f"{search.epoch_budget} epochs"
    if search.time_budget is not None and seconds >= 3600 * search.time_budget:
        return f"{search.time_budget:g} hours"
    return None

"""Keys of earlier versions, which stand in the spaces of studies that were begun then, and what they are now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytrainer.config.problems import Origins

BUDGETS = {"time_budget": "wall", "epoch_budget": "epochs"}
"""Of `search`, and the parts of `search.budget` that took their places."""
RENAMED: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("search", old): ("search", "budget", new) for old, new in BUDGETS.items()
}


def up_to_date(data: Mapping[str, Any], origins: Origins | None = None) -> dict[str, Any]:
    """A space as plain data with the keys of today. What bounded nothing is left out; a key of today has priority.

    Args:
        data: of a file, or kept with a study; its form need not be sound.
        origins: of the values, which move along.
    """
    search = data.get("search")
    if not isinstance(search, dict) or not isinstance(budget := search.get("budget") or {}, dict):
        return dict(data)
    bounds = {new: search[old] for old, new in BUDGETS.items() if search.get(old) is not None and new not in budget}
    for old, new in BUDGETS.items():
        if origins is not None and new in bounds:
            origins.replace(RENAMED["search", old], origins.at(("search", old)))
    kept = {key: value for key, value in search.items() if key not in BUDGETS}
    return {**data, "search": {**kept, "budget": {**bounds, **budget}} if bounds else kept}

"""What an architecture costs is the same in every trial, unless something that is searched changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from raytrainer.config.constraints import parse_constraint
from raytrainer.config.fitness import parse_fitness
from raytrainer.config.metric_names import MEASURED
from raytrainer.config.problems import Problem
from raytrainer.config.space import Space

CHANGED_BY = {"imgsz": frozenset({"latency_ms", "GFLOPs"})}
"""What can be searched, and what of an architecture's measurements depends on it; its `params` depend on nothing."""
OF_A_DEVICE = frozenset({"latency_ms"})
"""Of the measurements, those that another device may have otherwise."""


def unchanged(space: Space) -> frozenset[str]:
    """The measurements that nothing searched changes."""
    return frozenset(MEASURED).difference(*(CHANGED_BY.get(name, frozenset()) for name in space.space))


def no_objective(space: Space) -> Iterator[Problem]:
    """A problem for each objective that comes out the same whatever is tried; a function may look at anything."""
    several = len(space.objectives) > 1
    for place, text in enumerate(space.objectives):
        asked = parse_fitness(text)
        if asked.uses and not asked.over_classes and asked.metrics <= unchanged(space):
            message = f"nothing that is searched changes {' and '.join(sorted(asked.metrics))}, the same in every trial"
            yield space.problem(("fitness", place) if several else ("fitness",), f"'{text}': {message}")


def kept_by_none(space: Space, measured: Mapping[str, float]) -> Iterator[Problem]:
    """A problem for each constraint that what was measured of the architecture violates on every device."""
    same = unchanged(space) - OF_A_DEVICE
    for place, text in enumerate(space.subject_to):
        constraint = parse_constraint(text)
        if constraint.known_before and constraint.left.metrics <= same and constraint.violation(measured) > 0:
            names = " and ".join(sorted(constraint.left.metrics))
            message = f"{constraint.told(measured)}; nothing that is searched changes {names}"
            yield space.problem(("subject_to", place), message)

"""`when`: which parameters are active beside which values of others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

from raytrainer.config.parameters import Categorical, Float, Parameter, Scalar, same
from raytrainer.config.problems import suggest
from raytrainer.config.values import plain, show

Parameters: TypeAlias = Mapping[str, Parameter]


def conditions(parameter: Parameter) -> dict[str, list[Scalar]]:
    """The parameters that this one depends on, each with the values that make it active."""
    return {key: value if isinstance(value, list) else [value] for key, value in (parameter.when or {}).items()}


def in_order(parameters: Parameters) -> list[str]:
    """Names in the order of the file, but for those that others depend on, which come before them."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in done or name not in parameters:
            return
        for other in conditions(parameters[name]):
            visit(other)
        done[name] = None

    for name in parameters:
        visit(name)
    return list(done)


def is_active(parameter: Parameter, values: Mapping[str, Scalar]) -> bool:
    """Whether every condition holds among the values of the active parameters."""
    return all(
        other in values and any(same(values[other], value) for value in allowed)
        for other, allowed in conditions(parameter).items()
    )


def requirements(parameters: Parameters, name: str) -> dict[str, list[Scalar]]:
    """Everything that holds whenever a parameter is active: its conditions, and those of what it depends on."""
    needed: dict[str, list[Scalar]] = {}
    waiting = [name]
    while waiting:
        for other, allowed in conditions(parameters[waiting.pop()]).items():
            kept = needed.get(other)
            needed[other] = [v for v in allowed if kept is None or any(same(v, k) for k in kept)]
            if other in parameters and kept is None:
                waiting.append(other)
    return needed


def condition_problems(
    parameters: Parameters, fixed: Mapping[str, Scalar], broken: Collection[str] = ()
) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the conditions: the parameter, the key in its `when`, and a message.

    Nothing is said about conditions on the `broken`, parameters that have problems of their own.
    """
    if cycle := _cycle(parameters):
        yield cycle[0], [*cycle, cycle[0]][1], f"goes round in a circle: {' needs '.join([*cycle, cycle[0]])}"
        return
    for name, parameter in parameters.items():
        sound = True
        for other, allowed in conditions(parameter).items():
            if other in broken:
                continue
            for message in _about(other, allowed, parameters, fixed):
                sound = False
                yield name, other, message
        if sound:
            yield from _never(parameters, name)


def _about(other: str, allowed: list[Scalar], parameters: Parameters, fixed: Mapping[str, Scalar]) -> Iterator[str]:
    if other not in parameters:
        if other in fixed:
            yield f"is fixed to {show(fixed[other])}, so the condition always holds or never does; it must be searched"
        else:
            yield "is not searched" + suggest(other, parameters)
        return
    parent = parameters[other]
    if isinstance(parent, Float):
        yield "is a range of numbers; a condition needs choices or integers"
        return
    if not allowed:
        yield "expected at least one value"
    for value in allowed:
        if not parent.holds(value):
            texts = [plain(choice) for choice in parent.choices] if isinstance(parent, Categorical) else []
            yield f"never takes the value {show(value)}{suggest(value, texts)}"


def _never(parameters: Parameters, name: str) -> Iterator[tuple[str, str, str]]:
    for other, allowed in requirements(parameters, name).items():
        if not allowed:
            yield name, other, "is never active: what it depends on needs other values of the same parameter"


def _cycle(parameters: Parameters) -> list[str]:
    """Names along a circle of conditions, empty if there is none."""
    finished: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return trail[trail.index(name) :]
        if name in finished or name not in parameters:
            return []
        for other in conditions(parameters[name]):
            if found := walk(other, [*trail, name]):
                return found
        finished.add(name)
        return []

    return next((found for name in parameters if (found := walk(name, []))), [])

"""Finds the parameters that have no effect, in all trials or in those that another parameter makes so."""

from __future__ import annotations

from collections.abc import Iterator

from raytrainer.config.conditions import requirements
from raytrainer.config.document import by_class
from raytrainer.config.facts import Facts, where_active
from raytrainer.config.parameters import Categorical, Scalar
from raytrainer.config.problems import Problem
from raytrainer.config.rules import RULES, Rule
from raytrainer.config.settings import Settings
from raytrainer.config.space import Space
from raytrainer.config.values import plain


def effect_problems(space: Space, facts: Facts) -> Iterator[Problem]:
    """One problem for every searched parameter, and fixed setting, that could do nothing."""
    for name in space.space:
        certain = where_active(space, facts, name)
        for rule in _rules(name):
            if message := _always(rule, certain) or _sometimes(rule, space, certain, name):
                yield space.problem(("space", name), message)
                break
    for section, given in (("trainer", space.trainer), ("train", space.train)):
        for name, value in given.items():
            for rule in _rules(name):
                if rule.even_fixed and not _is_default(name, value) and (message := _always(rule, facts)):
                    yield space.problem((section, name), message)


def _rules(name: str) -> Iterator[Rule]:
    setting = (by_class(name) or (name,))[0]
    return (rule for rule in RULES if setting in rule.names.split())


def _always(rule: Rule, facts: Facts) -> str | None:
    return f"has no effect: {rule.why}" if rule.when(facts) else None


def _sometimes(rule: Rule, space: Space, facts: Facts, name: str) -> str | None:
    """Beside some values of another parameter only: then a condition keeps it out of those trials."""
    for other, parameter in space.space.items():
        if not isinstance(parameter, Categorical) or other == name or name in requirements(space.space, other):
            continue
        allowed = requirements(space.space, name).get(other, parameter.choices)
        idle = [value for value in allowed if rule.when(facts.given(other, value))]
        if idle and len(idle) < len(allowed):
            return (
                f"has no effect where {other} is {_listed(idle)}: {rule.why}; or add {_condition(other, allowed, idle)}"
            )
    return None


def _condition(other: str, allowed: list[Scalar], idle: list[Scalar]) -> str:
    useful = [value for value in allowed if value not in idle]
    return f"when: {{{other}: [{', '.join(map(plain, useful))}]}}"


def _listed(values: list[Scalar]) -> str:
    return " or ".join(map(plain, values))


def _is_default(name: str, value: object) -> bool:
    fields = Settings.model_fields
    return (name in fields and bool(fields[name].default == value)) or (name == "cls_pw" and not value)

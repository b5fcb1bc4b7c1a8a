"""What is maximised: an expression over the metrics of an epoch, or a function of the user's.

    sum     = product { ("+" | "-") product }
    product = factor { ("*" | "/") factor }
    factor  = ("-" | "+") factor | number | "(" sum ")" | metric | call
    metric  = name [ "[" class "]" ]
    call    = ("min" | "max" | "mean") "(" sum { "," sum } ")"

`mean(F1)`, with a per-class metric alone in its call, is over the classes. Nothing is evaluated as Python.
"""

from __future__ import annotations

import ast
import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from raytrainer.config.fitness_parser import Parser
from raytrainer.config.fitness_terms import FitnessError, Node, Use

__all__ = ["Fitness", "FitnessError", "parse_expression", "parse_fitness"]


@dataclass(frozen=True)
class Fitness:
    """A fitness: call it with the metrics of an epoch, named as in `EpochRecord.metrics`; larger is better.

    The value is NaN where the expression has none: a quotient by 0, a metric that is NaN, no class to take a mean of.
    Classes without a label, whose metrics are NaN, do not count in a mean, min or max over classes.

    Raises:
        FitnessError: on a call, if a metric is missing or a function's result is no number.
    """

    text: str
    uses: tuple[Use, ...]
    """Metrics as they stand in the text, each with its place."""
    _evaluate: Callable[[Mapping[str, float]], float] = field(repr=False, compare=False)

    def __call__(self, metrics: Mapping[str, float]) -> float:
        return self._evaluate(metrics)

    def __reduce__(self) -> tuple[Callable[[str], Fitness], tuple[str]]:
        """Travels between processes as its text: a function of the user's cannot be pickled."""
        return parse_fitness, (self.text,)

    def never_defined(self) -> bool:
        """Whether an expression is NaN for metrics that all differ, as it is if it divides by 0 whatever they are."""
        names = sorted({use.name if not use.over_classes else f"{use.metric}[any]" for use in self.uses})
        return bool(names) and math.isnan(self({name: (place + 1) / 7 for place, name in enumerate(names)}))

    def may_use(self, names: Iterable[str]) -> bool:
        """Whether one of these metrics is in the expression; of a function nobody knows."""
        return not self.uses or not self.metrics.isdisjoint(names)

    @property
    def metrics(self) -> frozenset[str]:
        """Names of the metrics that must be there, such as `mAP50` and `AP[cat]`; empty for a function."""
        return frozenset(use.name for use in self.uses if not use.over_classes)

    @property
    def over_classes(self) -> frozenset[str]:
        """Per-class metrics that are taken over all classes, such as `F1` of `mean(F1)`."""
        return frozenset(use.metric for use in self.uses if use.over_classes)

    @property
    def classes(self) -> frozenset[str]:
        """Classes that are named."""
        return frozenset(use.label for use in self.uses if use.label is not None)


def parse_fitness(text: str) -> Fitness:
    """The fitness that a text describes.

    Raises:
        FitnessError: on a text that is no expression, an unknown metric, or a `file.py:function` that does not exist.
    """
    file, colon, function = text.strip().rpartition(":")
    if colon and file.endswith(".py") and function.isidentifier():
        return Fitness(text, (), _function(text, Path(file), function))
    return parse_expression(text)


def parse_expression(text: str) -> Fitness:
    """The fitness of an expression, which no function is.

    Raises:
        FitnessError: on a text that is no expression, or an unknown metric.
    """
    parser = Parser(text)
    node = parser.parse()
    if not parser.uses:
        raise FitnessError(text, 0, "expected at least one metric, or every trial would be as good as the others")
    return Fitness(text, tuple(parser.uses), partial(_value, node))


def _value(node: Node, metrics: Mapping[str, float]) -> float:
    return node.value(metrics)


def _function(text: str, file: Path, name: str) -> Callable[[Mapping[str, float]], float]:
    """The user's function, whose file is read now and run at the first call."""
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except OSError as error:
        raise FitnessError(text, 0, f"{file} cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        raise FitnessError(text, 0, f"{file} is not valid Python: {error}") from None
    found = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not found:
        raise FitnessError(text, len(str(file)) + 1, f"{file} has no function {name}")
    if not _takes_one(found[-1].args):
        message = f"{name} is called with the metrics of an epoch, by name, and nothing else: def {name}(metrics)"
        raise FitnessError(text, len(str(file)) + 1, message)
    loaded: list[Any] = []

    def call(metrics: Mapping[str, float]) -> float:
        if not loaded:
            loaded.append(getattr(_module(file), name))
        result = loaded[0](dict(metrics))
        try:
            return float(result)
        except (TypeError, ValueError):
            raise FitnessError(text, 0, f"{name} returned {result!r}, which is no number") from None

    return call


def _takes_one(arguments: ast.arguments) -> bool:
    """Whether a function can be called with one positional argument."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    needed = positional - len(arguments.defaults)
    room = positional >= 1 or arguments.vararg is not None
    return room and needed <= 1 and all(default is not None for default in arguments.kw_defaults)


def _module(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

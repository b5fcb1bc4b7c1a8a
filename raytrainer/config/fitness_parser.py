"""Tokens and recursive descent for fitness expressions; the grammar stands in `raytrainer.config.fitness`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from raytrainer.config.fitness_terms import Call, Chain, FitnessError, Negative, Node, Number, OverClasses, Use
from raytrainer.config.metric_names import canonical, means, pattern, per_class
from raytrainer.config.problems import suggest

MAX_LENGTH = 2000
MAX_DEPTH = 50
FUNCTIONS = ("min", "max", "mean")
NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
NAME = pattern()
CALL = re.compile(rf"({'|'.join(FUNCTIONS)})(?=\s*\()")


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is number, name, function, class, end, or the symbol itself."""

    kind: str
    text: str
    position: int


class Parser:
    """Parses one expression; `uses` lists its metrics in their order."""

    def __init__(self, text: str) -> None:
        """Raises `FitnessError` if the text does not consist of tokens."""
        self.text = text
        self.uses: list[Use] = []
        if len(text) > MAX_LENGTH:
            raise FitnessError(text[:40] + "...", MAX_LENGTH, f"longer than {MAX_LENGTH} characters")
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def parse(self) -> Node:
        """The whole expression.

        Raises:
            FitnessError: if it is none.
        """
        node = self._sum()
        if self._token.kind != "end":
            raise self._error("expected an operator")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *kinds: str) -> Token | None:
        token = self._token
        if token.kind not in kinds:
            return None
        self._next += 1
        return token

    def _sum(self) -> Node:
        return self._chain(self._product, "+", "-")

    def _product(self) -> Node:
        return self._chain(self._factor, "*", "/")

    def _chain(self, operand: Callable[[], Node], *operators: str) -> Node:
        first = operand()
        rest = []
        while token := self._take(*operators):
            rest.append((token.kind, operand()))
        return Chain(first, tuple(rest)) if rest else first

    def _factor(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels")
        try:
            return self._nested_factor()
        finally:
            self._depth -= 1

    def _finite(self, token: Token) -> Node:
        value = float(token.text)
        if math.isinf(value):
            raise FitnessError(self.text, token.position, f"expected a number that is finite, and {token.text} is not")
        return Number(value)

    def _nested_factor(self) -> Node:
        if self._take("-"):
            return Negative(self._factor())
        if self._take("+"):
            return self._factor()
        if token := self._take("number"):
            return self._finite(token)
        if token := self._take("function"):
            return self._call(token)
        if token := self._take("name"):
            return self._metric(token)
        if self._take("("):
            node = self._sum()
            self._close()
            return node
        raise self._error("expected a metric, a number or '('")

    def _call(self, function: Token) -> Node:
        self._take("(")
        if over := self._alone_per_class():
            self.uses.append(over)
            return OverClasses(function.text, over)
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._close()
        if len(arguments) == 1:
            message = f"expected several values, or a metric that every class has ({', '.join(per_class('detect'))})"
            raise FitnessError(self.text, function.position, f"{function.text}: {message}")
        return Call(function.text, tuple(arguments))

    def _alone_per_class(self) -> Use | None:
        """A per-class metric that is the only argument of a call, without a class."""
        name, end = self._token, self._tokens[min(self._next + 1, len(self._tokens) - 1)]
        if name.kind != "name" or end.kind != ")" or canonical(name.text) not in per_class():
            return None
        self._next += 2
        return Use(self.text, name.position, canonical(name.text), over_classes=True)

    def _metric(self, token: Token) -> Node:
        metric, label = canonical(token.text), self._take("class")
        known = means() if label is None else per_class()
        if metric not in known:
            raise FitnessError(self.text, token.position, self._unknown(metric, token.text, label is not None))
        use = Use(self.text, token.position, metric, label.text if label else None)
        self.uses.append(use)
        return use

    def _unknown(self, metric: str, text: str, of_class: bool) -> str:
        if not of_class and metric in per_class():
            return f"'{text}' is a metric of one class: write {text}[name], or mean({text})"
        if of_class and metric in means():
            return f"'{text}' is over all classes; that of one class is {'AP50' if '50-95' not in text else 'AP'}[name]"
        return f"unknown metric '{text}'{suggest(metric, per_class() if of_class else means())}"

    def _close(self) -> None:
        if not self._take(")"):
            raise self._error("expected ')'")

    def _error(self, message: str) -> FitnessError:
        got = "the end" if self._token.kind == "end" else f"'{self._token.text}'"
        return FitnessError(self.text, self._token.position, f"{message}, got {got}")


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        token, position = _token(text, position)
        yield token
        if token.kind == "name" and text[position : position + 1] == "[":
            end = _bracket(text, position)
            yield Token("class", text[position + 1 : end].strip(), position)
            position = end + 1
    yield Token("end", "", len(text))


def _token(text: str, start: int) -> tuple[Token, int]:
    for kind, expression in (("number", NUMBER), ("function", CALL), ("name", NAME)):
        if match := expression.match(text, start):
            return Token(kind, match[0], start), match.end()
    if text[start] in "+-*/(),":
        return Token(text[start], text[start], start), start + 1
    raise FitnessError(text, start, f"unexpected '{text[start]}'")


def _bracket(text: str, start: int) -> int:
    """Place of the bracket that closes the one at `start`; a class name may hold pairs of brackets."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"[": 1, "]": -1}.get(text[place], 0)
        if not depth:
            return place
    raise FitnessError(text, start, "expected ']'")

"""The fitness expression: a reference evaluation, its errors with their places, and functions of the user's."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrainer.config.fitness import FitnessError, parse_fitness
from raytrainer.config.metric_names import DEFAULT

METRICS = {
    "mAP50-95": 0.25, "mAP50": 0.5, "precision": 0.75, "recall": 0.125, "F1": 0.4, "mAP50(M)": 0.3,
    "AP[cat]": 0.1, "AP[traffic light]": 0.2, "AP[a[1]]": 0.6, "F1[cat]": 0.2, "F1[dog]": 0.6, "F1[cow]": math.nan,
    "AP50[cat]": 0.9, "recall[cat]": 0.8, "AP(P)[cat]": 0.7,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (DEFAULT, 0.9 * 0.25 + 0.1 * 0.5),
        ("mAP50-95", 0.25),
        ("mAP50 - 0.1", 0.4),
        ("mAP50-0.1", 0.4),
        ("mAP50-95-mAP50", -0.25),
        ("-mAP50 * -2", 1.0),
        ("2 - 1 - mAP50", 0.5),
        ("8 / 2 / mAP50", 8.0),
        ("1 + 2 * mAP50", 2.0),
        ("(1 + 2) * mAP50", 1.5),
        ("1e1*mAP50+.5", 5.5),
        ("AP[cat]", 0.1),
        ("AP[ traffic light ]", 0.2),
        ("AP[a[1]]", 0.6),
        ("AP(P)[cat]", 0.7),
        ("mAP50(M)", 0.3),
        ("metrics/mAP50(B)", 0.5),
        ("metrics/mAP50-95(B) + metrics/mAP50(M)", 0.55),
        ("min(precision, recall)", 0.125),
        ("max(mAP50, 2*recall, AP[cat])", 0.5),
        ("mean(mAP50, mAP50-95)", 0.375),
        ("mean(F1)", 0.4),  # of the two classes that have labels
        ("min(F1)", 0.2),
        ("max(F1) - min(AP)", 0.5),
        ("mean ( recall )", 0.8),
    ],
)
def test_values(text: str, value: float) -> None:
    assert parse_fitness(text)(METRICS) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("text", ["mAP50/0", "mAP50/(recall-0.125)", "mean(F1[cow], mAP50)", "F1[cow]"])
def test_what_has_no_value_is_nan(text: str) -> None:
    assert math.isnan(parse_fitness(text)(METRICS))
    assert math.isnan(parse_fitness("mean(F1)")({"F1[a]": math.nan}))


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", 0, "expected a metric, a number or '(', got the end"),
        ("mAP50*1e999", 6, "expected a number that is finite, and 1e999 is not"),
        ("mAP50 +", 7, "expected a metric, a number or '(', got the end"),
        ("mAP50 mAP50", 6, "expected an operator, got 'mAP50'"),
        ("(mAP50", 6, "expected ')', got the end"),
        ("mAP50)", 5, "expected an operator, got ')'"),
        ("mAP50 ** 2", 7, "expected a metric, a number or '(', got '*'"),
        ("mAP50 ; 1", 6, "unexpected ';'"),
        ("map50", 0, "unknown metric 'map50', did you mean 'mAP50'?"),
        ("0.5 + mAP75", 6, "unknown metric 'mAP75', did you mean 'mAP50'?"),
        ("AP", 0, "'AP' is a metric of one class: write AP[name], or mean(AP)"),
        ("mAP50-95[cat]", 0, "'mAP50-95' is over all classes; that of one class is AP[name]"),
        ("mAP50[cat]", 0, "'mAP50' is over all classes; that of one class is AP50[name]"),
        ("AP[cat", 2, "expected ']'"),
        ("1 + mean(mAP50)", 4, "mean: expected several values, or a metric that every class has"),
        ("min()", 4, "expected a metric, a number or '(', got ')'"),
        ("__import__('os').system('ls')", 11, "unexpected '''"),
        ("mAP50.__class__", 5, "unexpected '.'"),
        ("0.5", 0, "expected at least one metric"),
        ("(" * 60 + "mAP50" + ")" * 60, 50, "nested deeper than 50 levels"),
        ("-" * 60 + "mAP50", 50, "nested deeper than 50 levels"),
    ],
)
def test_errors_tell_their_place(text: str, place: int, message: str) -> None:
    with pytest.raises(FitnessError) as error:
        parse_fitness(text)
    assert message in error.value.message
    assert error.value.position == place
    assert error.value.text == text
    assert f"at character {place + 1} of '{text}'" in str(error.value)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(FitnessError, match="longer than 2000 characters"):
        parse_fitness("mAP50" + "+1" * 2000)


def test_names_are_told_for_checking() -> None:
    fitness = parse_fitness("metrics/mAP50(B) + AP[cat] - 2*min(F1) + max(recall[dog], 0.1)")
    assert fitness.metrics == {"mAP50", "AP[cat]", "recall[dog]"}
    assert fitness.over_classes == {"F1"}
    assert fitness.classes == {"cat", "dog"}


def test_a_metric_that_is_missing_is_an_error_not_a_zero() -> None:
    with pytest.raises(FitnessError, match=r"there is no metric 'AP\[dog\]'"):
        parse_fitness("mAP50 + AP[dog]")(METRICS)
    with pytest.raises(FitnessError, match="there is no metric 'AP50' of any class"):
        parse_fitness("mean(AP50)")({"mAP50": 1.0})


def test_a_fitness_travels_between_processes() -> None:
    fitness = parse_fitness("mean(F1) + mAP50")
    again = pickle.loads(pickle.dumps(fitness))
    assert again == fitness
    assert again(METRICS) == fitness(METRICS)


@pytest.mark.parametrize(
    ("takes", "fits"),
    [
        ("metrics", True), ("metrics, /, more=1", True), ("*all", True), ("metrics=None", True), ("m, *, k=1", True),
        ("", False), ("a, b", False), ("m, *, k", False), ("**named", False),
    ],
)  # fmt: skip
def test_a_function_takes_the_metrics(takes: str, fits: bool, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"def score({takes}):\n    return 1.0\n")
    if fits:
        assert parse_fitness(f"{tmp_path}/mine.py:score")(METRICS) == 1.0
        return
    with pytest.raises(FitnessError, match=r"score is called with the metrics of an epoch.*: def score\(metrics\)"):
        parse_fitness(f"{tmp_path}/mine.py:score")


def test_a_function_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    score = "def score(metrics):\n    return WEIGHT * metrics['mAP50']\n"
    file.write_text(f"WEIGHT = 2\n{score}def text(metrics):\n    return 'x'\n")
    fitness = parse_fitness(f"{file}:score")
    assert fitness(METRICS) == 1.0
    assert fitness.metrics == frozenset()
    assert pickle.loads(pickle.dumps(fitness))(METRICS) == 1.0
    with pytest.raises(FitnessError, match="text returned 'x', which is no number"):
        parse_fitness(f"{file}:text")(METRICS)
    with pytest.raises(FitnessError, match="has no function other"):
        parse_fitness(f"{file}:other")
    file.write_text("def score(metrics:\n")
    with pytest.raises(FitnessError, match="is not valid Python"):
        parse_fitness(f"{file}:score")


def test_reading_a_function_does_not_run_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n\ndef score(metrics):\n    return 1\n")
    parse_fitness(f"{file}:score")
    assert not (tmp_path / "ran").exists()


class Reference:
    """Expressions as Python would evaluate them, built beside their text."""

    names = st.sampled_from(["mAP50-95", "mAP50", "precision", "AP[cat]", "AP[traffic light]", "recall[cat]"])

    @staticmethod
    def leaf() -> st.SearchStrategy[tuple[str, float]]:
        numbers = st.floats(0, 100).map(lambda number: (repr(number), number))
        return numbers | Reference.names.map(lambda name: (name, METRICS[name]))

    @staticmethod
    def grown(inner: st.SearchStrategy[tuple[str, float]]) -> st.SearchStrategy[tuple[str, float]]:
        def binary(parts: tuple[tuple[str, float], str, tuple[str, float]]) -> tuple[str, float]:
            (left, a), operator, (right, b) = parts
            results = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else math.nan}
            return f"({left}) {operator} ({right})", results[operator]

        def call(parts: tuple[str, list[tuple[str, float]]]) -> tuple[str, float]:
            function, arguments = parts
            values = [value for _, value in arguments]
            if any(map(math.isnan, values)):
                result = math.nan
            else:
                result = {"min": min, "max": max, "mean": lambda v: sum(v) / len(v)}[function](values)  # type: ignore[operator]
            return f"{function}({', '.join(text for text, _ in arguments)})", result

        operators = st.sampled_from("+-*/")
        functions = st.sampled_from(["min", "max", "mean"])
        return (
            st.tuples(inner, operators, inner).map(binary)
            | inner.map(lambda part: (f"-({part[0]})", -part[1]))
            | st.tuples(functions, st.lists(inner, min_size=2, max_size=3)).map(call)
        )


@given(st.recursive(Reference.leaf(), Reference.grown, max_leaves=8))
@settings(max_examples=300)
def test_expressions_have_their_reference_value(expression: tuple[str, float]) -> None:
    text, value = expression
    result = parse_fitness(f"{text} + 0*mAP50")(METRICS)
    if math.isfinite(value):
        assert result == value
    else:
        assert not math.isfinite(result)


@given(st.lists(st.tuples(st.sampled_from("+-*/"), st.integers(1, 9)), max_size=6))
def test_precedence_is_that_of_python(chain: list[tuple[str, int]]) -> None:
    tail = "".join(f" {operator} {number}" for operator, number in chain)
    assert parse_fitness(f"mAP50{tail}")(METRICS) == pytest.approx(eval(f"0.5{tail}"))  # a text of digits made here


@given(st.text(alphabet="mAPF1509-+*/()[].,e min maxcat\n'\"_:", max_size=40))
@settings(max_examples=300)
def test_any_text_is_an_expression_or_a_fitness_error(text: str) -> None:
    try:
        fitness = parse_fitness(text)
    except FitnessError as caught:
        place = caught.position
    else:
        metrics = dict.fromkeys([*fitness.metrics, *(f"{metric}[x]" for metric in fitness.over_classes)], 0.5)
        place = 0
        assert isinstance(fitness(metrics), float)
    assert 0 <= place <= len(text)

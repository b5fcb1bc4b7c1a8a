"""The reader of YAML: lines, YAML 1.2 scalars, and everything that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from raytrainer.config.problems import UserError
from raytrainer.config.yaml_lines import MAX_BYTES, dump_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("1E5", 1e5), ("1.", 1.0), (".5", 0.5), ("-.5e+3", -500.0), ("+7", 7), ("010", 10),
        ("0o17", 15), ("0x1F", 31), ("true", True), ("FALSE", False), ("yes", "yes"), ("no", "no"), ("on", "on"),
        ("1_000", "1_000"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("~", None), ("null", None), ("", None),
        ("'1'", "1"), (".inf", float("inf")), ("1e", "1e"), ("e5", "e5"), (".", "."), ("-", [None]), ("=", "="),
    ],
)  # fmt: skip
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    read = parse_yaml(text, "f")[0]
    assert read == value
    assert type(read) is type(value)


def test_every_key_and_item_has_its_line() -> None:
    origins = parse_yaml("a: 1\nb:\n  c:\n    - x\n    - y\nd: {e: 2,\n  f: 3}\n", "f.yaml")[1]
    places = {"a": 1, "b": 2, "b.c": 3, "b.c.0": 4, "b.c.1": 5, "d": 6, "d.e": 6, "d.f": 7}
    for key, line in places.items():
        path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        assert origins.at(path).line == line
    assert str(origins.problem(("b", "c", 1, "deeper"), "is wrong")) == "f.yaml:5: b.c.1.deeper: is wrong"
    assert str(origins.problem(("other",), "is missing")) == "f.yaml: other: is missing"


def bomb() -> str:
    levels = [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)
    ]
    return "\n".join(["a: &a [1, 2, 3]", *levels])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a: 1\nb: 2\na: 3\n", "f.yaml:3: a: duplicate key, first given in line 1"),
        (b"a:\n  b: !mine 1\n", "f.yaml:2: a.b: the tag !mine is not allowed"),
        (b"a: !!python/name:os.system\n", "f.yaml:1: a: the tag !!python/name:os.system is not allowed"),
        (b"a: !!set {x}\n", "f.yaml:1: a: the tag !!set is not allowed"),
        (b"a: !!int x\n", "f.yaml:1: a: 'x' is no int"),
        (b"? [1]\n: 2\n", "f.yaml:1: a key must be a single value"),
        (b"a: &x\n  b: *x\n", "f.yaml:1: nested deeper than 40 levels"),
        (bomb().encode(), "holds more than 100000 values once its aliases are followed"),
        (b"[" * 5000, "f.yaml: nested deeper than 40 levels"),
        (b"a: 1\n--- 2\n", "f.yaml:2: not valid YAML: expected a single document in the stream but found another"),
        (b"a: [1\n", "f.yaml:2: not valid YAML: while parsing a flow sequence"),
        (b"a: [AP[b], c]\n", "but got '['; in a list, text with brackets needs quotes: \"AP[name]\""),
        (b"a: 1\nb: \xff\n", "f.yaml:2: is not UTF-8 text"),
        (b"a: 1\nb: \x00\n", "f.yaml:2: not valid YAML: a control character"),
        (b'a: "\\UFFFFFFFF"\n', "f.yaml: not valid YAML: "),
        (b"a: " + b"x" * MAX_BYTES, "f.yaml: is over 1 MB, which no space file needs"),
        (b"just text\n", "f.yaml:1: expected a mapping of keys to values, got a single value"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_with_its_line(raw: bytes, message: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_bytes(raw)
    with pytest.raises(UserError) as error:
        read_yaml(Path("f.yaml"))
    assert message in str(error.value)
    assert len(error.value.problems) == 1


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_yaml(tmp_path)


def test_aliases_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes("\ufeffa: &x {b: 1}\nc: *x\n".encode())
    assert read_yaml(tmp_path / "f.yaml")[0] == {"a": {"b": 1}, "c": {"b": 1}}
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml")[0] == {}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_what_is_written_is_read_back(data: Any) -> None:
    text = dump_yaml({"data": data})
    assert parse_yaml(text, "f")[0] == {"data": data}
    assert yaml.safe_load(text) == {"data": data}, "other readers of YAML read the same"

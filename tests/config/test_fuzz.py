"""Whatever stands in a file, the answer is a space or a `UserError`, never another exception, and soon.

Four times a hundred cases; six hundred more are in `test_fuzz_dataset.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raytrainer.config.check import check
from raytrainer.config.filling import fill_in
from raytrainer.config.load import load_space, shipped_spaces
from raytrainer.config.problems import Problem, UserError
from raytrainer.config.search_size import search_size, search_table

calm = settings(max_examples=100, deadline=5_000, suppress_health_check=list(HealthCheck))
SHIPPED = [file.read_bytes() for file in shipped_spaces()]

WORDS = """
model data fitness train trainer search resources space keep name storage lr0 optimizer momentum freeze low high log
step default choices when class_weights class_weights.cat class_weights.person trials sampler pruner gpus epochs
min_epochs unfreeze_epoch unfreeze_every imgsz batch AdamW auto backbone inverse_frequency yolo11n.pt rtdetr-l.yaml
coco8.yaml AP[person] mean(F1) mAP50 cls_pw mosaic close_mosaic sync_bn
"""
words = st.sampled_from(WORDS.split())
scalars = st.one_of(words, st.none(), st.booleans(), st.integers(-5, 700), st.floats(), st.text(max_size=6))
values = st.recursive(scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(words, v, max_size=5), max_leaves=12)
parameters = st.dictionaries(words, values, max_size=5)
files = st.fixed_dictionaries(
    {"model": st.sampled_from(["yolo11n.pt", "rtdetr-l.yaml"]) | values, "data": st.just("coco8.yaml") | values},
    optional=dict.fromkeys(("train", "trainer", "search", "resources", "space", "other"), parameters | values)
    | {"fitness": words | values, "keep": values},
)


def told(file: Path, sets: tuple[str, ...] = ()) -> list[Problem]:
    """What is said of a space file; any error but a `UserError` comes out, and fails the test."""
    try:
        space = load_space(file, sets)
        assert str(search_size(space))
        assert all(row.name for row in search_table(space))
        return check(space)
    except UserError as error:
        return error.problems


def fit_to_be_read(problem: Problem) -> bool:
    """A line of its own."""
    return bool(problem.message) and "\n" not in problem.message


@given(raw=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
@calm
def test_garbage(raw: bytes, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_bytes(raw)
    assert all(map(fit_to_be_read, told(file)))


@given(data=files)
@calm
def test_files_of_the_right_words_in_the_wrong_places(data: Mapping[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    assert all(map(fit_to_be_read, told(file)))


@given(text=st.sampled_from(SHIPPED), data=st.data())
@calm
def test_shipped_files_with_bytes_cut_doubled_and_changed(text: bytes, data: st.DataObject, tmp_path: Path) -> None:
    place = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 30))
    put = data.draw(
        st.sampled_from([b"", text[place : place + length] * 2, b"{", b"- ", b": ", b"\t", b"'", b"&a *a", b"!x "])
    )
    file = tmp_path / "space.yaml"
    file.write_bytes(text[:place] + put + text[place + length :])
    assert all(map(fit_to_be_read, told(file)))


@given(change=st.tuples(st.lists(words, min_size=1, max_size=4), values | st.text(max_size=20)))
@calm
def test_any_set(change: tuple[list[str], Any], tmp_path: Path) -> None:
    keys, value = change
    file = tmp_path / "space.yaml"
    file.write_text("model: yolo11n.pt\ndata: coco8.yaml\nspace: {batch: [4, 8]}\n")
    assert all(map(fit_to_be_read, told(file, (f"{'.'.join(keys)}={value}",))))


@pytest.mark.parametrize("name", [file.name for file in shipped_spaces()])
def test_shipped_files_are_fine(name: str, data: Path) -> None:
    space = fill_in(load_space(name, flags={"data": str(data)}), lambda _: None)
    assert [problem for problem in check(space) if "has not been prepared" not in problem.message] == []

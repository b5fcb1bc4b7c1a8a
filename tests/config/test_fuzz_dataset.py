"""Whatever lies in a dataset's folder, the answer is a dataset or a `UserError`, never another exception, and soon.

Three times two hundred cases; four hundred more are in `test_fuzz.py`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raytrainer.config.check import check
from raytrainer.config.dataset import fingerprint, read_dataset
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError

calm = settings(max_examples=200, deadline=5_000, suppress_health_check=list(HealthCheck))

SOURCES = """
images images/train images/val images/none train val labels ../images/val images/train/0.jpg list.txt /nowhere . .. ~
"""
sources = st.sampled_from(SOURCES.split())
scalars = st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=5) | sources
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(scalars, v, max_size=3), max_leaves=6
)
names = (
    st.just(["cat", "dog"]) | st.just({0: "cat", 1: "dog"}) | st.dictionaries(st.integers(-1, 3), st.text()) | values
)
contents = st.fixed_dictionaries(
    {"train": st.just("images/train") | sources | values, "val": st.just("images/val") | sources | values},
    optional={
        "names": names, "path": sources | values, "nc": scalars, "kpt_shape": st.just([1, 3]) | values,
        "channels": scalars, "flip_idx": values, "download": scalars, "validation": sources,
    },
)  # fmt: skip
NUMBERS = "0 1 2 -1 0.5 .5 1.005 1.2 1e3 nan inf -inf 1_0 0x1 ² x 99999999999999999999"
numbers = st.sampled_from(NUMBERS.split())
rows = st.lists(st.lists(numbers | st.text(max_size=3), max_size=12).map(" ".join), max_size=4).map("\n".join)
labels = st.just("0 .5 .5 .1 .1\n1 .5 .5 .1 .1\n").map(str.encode) | rows.map(
    lambda text: text.encode("utf-8", "surrogatepass")
) | st.binary(max_size=40)  # fmt: skip
SPACE = """
model: {model}
data: {data}
fitness: AP[cat]
space: {{batch: [4, 8], class_weights.cat: {{low: 1, high: 2}}}}
"""


@contextlib.contextmanager
def own_place() -> Iterator[Path]:
    """A folder in a folder of its own, which is also the home: `..` and `~` lead to little."""
    with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, HOME=home):
        (Path(home) / "cells").mkdir()
        yield Path(home) / "cells"


def folder(root: Path, content: Any, label: bytes, listed: bytes, raw: bytes | None = None) -> Path:
    """A dataset with one image a split, of which hardly anything need be right."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        (root / "images" / split / "0.jpg").touch()
        (root / "labels" / split / "0.txt").write_bytes(label)
    (root / "list.txt").write_bytes(listed)
    text = raw if raw is not None else yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass")
    (root / "data.yaml").write_bytes(text)
    return root / "data.yaml"


def told(data: Path, model: str) -> list[str]:
    """What is said of a space with a dataset, which is also read alone; any error but a `UserError` comes out."""
    with contextlib.suppress(UserError):
        dataset = read_dataset(str(data), classify="-cls" in model)
        assert not dataset.present or fingerprint(dataset)
    space = data.with_name("space.yaml")
    space.write_text(SPACE.format(model=model, data=data))
    try:
        return [str(problem) for problem in check(load_space(space))]
    except UserError as error:
        return [str(problem) for problem in error.problems]


def fit_to_be_read(text: str) -> bool:
    """A line of its own."""
    return bool(text) and "\n" not in text


@given(
    content=contents,
    label=labels,
    listed=st.just(b"./images/train/0.jpg\n") | st.binary(max_size=30),
    model=st.sampled_from(["yolo11n.yaml", "yolo11n-pose.yaml", "yolo11n-seg.yaml", "yolo11n-cls.yaml"]),
)
@calm
def test_a_folder_in_which_anything_may_be_wrong(
    content: Mapping[str, Any], label: bytes, listed: bytes, model: str
) -> None:
    with own_place() as root:
        assert all(map(fit_to_be_read, told(folder(root, content, label, listed), model)))


@given(label=labels, pose=st.booleans())
@calm
def test_label_files(label: bytes, pose: bool) -> None:
    content = {"train": "images/train", "val": "images/val", "names": ["cat", "dog"]}
    with own_place() as root:
        data = folder(root, content | ({"kpt_shape": [1, 3]} if pose else {}), label, b"")
        assert all(map(fit_to_be_read, told(data, "yolo11n.yaml")))


@given(raw=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
@calm
def test_a_data_yaml_of_garbage(raw: bytes) -> None:
    with own_place() as root:
        assert all(map(fit_to_be_read, told(folder(root, None, b"", b"", raw), "yolo11n.yaml")))


@pytest.mark.parametrize("place", ["names", "path", "train", "kpt_shape", "other"])
def test_aliases_that_grow_without_end(place: str, tmp_path: Path) -> None:
    bomb = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    kept = {"train": "images/train", "val": "images/val", "names": "[cat, dog]"} | {place: "*a11"}
    raw = bomb + "".join(f"{key}: {value}\n" for key, value in kept.items())
    data = folder(tmp_path, None, b"0 .5 .5 .1 .1\n", b"", raw.encode())
    with pytest.raises(UserError, match="holds more than 100000 values once its aliases are followed"):
        read_dataset(str(data))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    data = folder(tmp_path, None, b"", b"", b"#" * 2_000_001)
    with pytest.raises(UserError, match="is over 2 MB"):
        read_dataset(str(data))


def test_no_tag_runs_code(tmp_path: Path) -> None:
    raw = f"train: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\nval: images/val\nnames: [cat]\n"
    with pytest.raises(UserError, match="could not determine a constructor"):
        read_dataset(str(folder(tmp_path, None, b"", b"", raw.encode())))
    assert not (tmp_path / "made").exists()

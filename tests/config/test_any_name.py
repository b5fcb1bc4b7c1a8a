"""A class of any name can be given a weight on the command line: what holds `=` or looks like a key is quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrainer.config.load import load_space
from raytrainer.config.parameters import Float

TEXT = "model: yolo11n.pt\ndata: cells.yaml\nspace:\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A space that searches nothing yet."""
    file = tmp_path / "cells.yaml"
    file.write_text(TEXT)
    return file


@pytest.mark.parametrize(
    ("change", "name", "high"),
    [
        ('space.class_weights."a=b".high=9', "class_weights.a=b", 9),
        ("space.class_weights.'a=b'.high=8", "class_weights.a=b", 8),
        ('space."class_weights.a=b".high=7', "class_weights.a=b", 7),
        ('space.class_weights."low.high".high=6', "class_weights.low.high", 6),
        ("space.class_weights.St. Bernard.high=5", "class_weights.St. Bernard", 5),
        ("space.class_weights.O'Neill's.high=4", "class_weights.O'Neill's", 4),
        ('space.class_weights.say "a".high=3', 'class_weights.say "a"', 3),
        ("space.class_weights.low.high=2", "class_weights.low", 2),
    ],
)
def test_a_class_may_have_any_name(change: str, name: str, high: float, file: Path) -> None:
    key = name.replace('"', '\\"')
    file.write_text(f'{TEXT}  "{key}": {{low: 1, high: 99}}\n')
    found = load_space(file, [change]).space[name]
    assert isinstance(found, Float)
    assert found.high == high


def test_a_class_of_any_name_may_have_a_fixed_weight(file: Path) -> None:
    weights = ['trainer.class_weights."a=b.c"=2', "trainer.class_weights.x.y=3", "fitness=AP[a=b.c] + AP[x.y]"]
    space = load_space(file, weights)
    assert space.trainer["class_weights"] == {"a=b.c": 2, "x.y": 3}
    assert space.fitness == "AP[a=b.c] + AP[x.y]"

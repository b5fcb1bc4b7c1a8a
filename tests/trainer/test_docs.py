"""The page about the customisations names tests that are there, every setting and every recipe."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from raytrainer.config.settings import Settings

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "customizations.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE)))
NOT_OF_THE_GUIDE = {"on_nan"}


def defined_in(file: str) -> set[str]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_page_names_exists() -> None:
    assert [f"{file}::{name}" for file, name in NAMED if name not in defined_in(file)] == []
    assert len(NAMED) == len(set(re.findall(r"`(test_[^`]+)`", PAGE)))


def test_every_recipe_has_its_four_parts_and_every_setting_is_told() -> None:
    recipes = re.findall(r"^## \d\. .*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert len(recipes) == 7
    for recipe in recipes:
        assert re.findall(r"^- \*\*(.*?)\*\*", recipe, re.MULTILINE) == ["The guide", "In company:", "Here", "Shown by"]
        assert re.search(r"\*\*Shown by\*\*.*`test_\w+\.py::", recipe, re.DOTALL)
    assert {name for name in Settings.model_fields if f"`{name}`" not in PAGE} == NOT_OF_THE_GUIDE

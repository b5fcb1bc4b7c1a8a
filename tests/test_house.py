"""The house keeps to its plan: imports point one way, files are short and documented, and what is promised is there."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "raytrainer"
MOST_LINES = 300
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler"}
TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".sh", ".txt", ".svg", ""}

# What a room may import of this package, itself aside. Modules at the top (cli, api) may import every room.
ROOMS = {
    "config": set[str](),
    "search": {"config"},
    "trainer": {"config"},
    "cluster": {"search", "trainer", "config"},
    "results": {"search", "trainer", "config"},
    "demo": {"trainer", "config"},
    "commands": {"cluster", "config", "demo", "results", "search", "trainer"},
    "search_spaces": set[str](),
}
# What a room must not import of others' packages.
BANNED = {
    "config": {"ray", "optuna", "torch", "ultralytics"},
    "search": {"torch", "ultralytics"},
    "trainer": {"ray", "optuna"},
    "results": {"ray"},
}

sources = pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a module imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute, so that a reader sees the room"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def departures(room: str, source: str) -> list[str]:
    """Imports that a module of `room` must not have; a module at the top has the room ''."""
    found = []
    for name in imported(ast.parse(source)):
        top, _, rest = name.partition(".")
        other = rest.split(".")[0]
        wrong_room = room and top == "raytrainer" and other in ROOMS and other not in ROOMS[room] | {room}
        if wrong_room or top in BANNED.get(room, ()):
            found.append(name)
    return found


@sources
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0] if path.parent != PACKAGE else ""
    assert departures(room, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("room", "source", "expected"),
    [
        ("config", "import torch.nn as nn", ["torch.nn"]),
        ("config", "from raytrainer.trainer.run import train", ["raytrainer.trainer.run.train"]),
        ("config", "from raytrainer import trainer", ["raytrainer.trainer"]),
        ("trainer", "def f():\n    from ray import tune", ["ray.tune"]),
        ("trainer", "from raytrainer.config.settings import Settings\nimport torch", []),
        ("search", "import ultralytics", ["ultralytics"]),
        ("search", "import optuna\nfrom ray.tune.search import Searcher", []),
        ("results", "from raytrainer.cluster.run import run", ["raytrainer.cluster.run.run"]),
        ("cluster", "import raytrainer.results.best", ["raytrainer.results.best"]),
        ("", "from raytrainer.results.best import write_best\nimport ray", []),
    ],
)
def test_a_wrong_import_is_found(room: str, source: str, expected: list[str]) -> None:
    assert departures(room, source) == expected


def test_every_folder_of_the_package_is_a_room() -> None:
    folders = {path.parent.relative_to(PACKAGE).parts[0] for path in PACKAGE.glob("*/*.py")}
    assert folders <= set(ROOMS)


@sources
def test_files_are_short_and_their_names_say_something(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MOST_LINES
    assert path.stem not in VAGUE_NAMES


def public_definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public functions and classes of a module, and the public methods of classes that inherit from none.

    A method of a class with bases may override one that is documented there.
    """
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef) and not node.bases:
                yield from (n for n in node.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_"))


@sources
def test_what_is_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = [f"{node.name}:{node.lineno}" for node in public_definitions(tree) if ast.get_docstring(node) is None]
    assert bare == []
    assert ast.get_docstring(tree) or path.name == "__init__.py"


@cache
def tracked() -> list[Path]:
    """Text files that git tracks."""
    listing = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    paths = [PROJECT / line for line in listing.stdout.splitlines()]
    return [path for path in paths if path.suffix in TEXT and path.is_file()]


def test_no_text_names_a_path_of_one_machine() -> None:
    machine_path = re.compile(r"(?<![\w.])/(?:home|root|work|opt|Users)/[\w.-]")
    texts = {path: path.read_text(encoding="utf-8") for path in tracked()}
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {line.strip()}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if machine_path.search(line)
    ]
    assert found == []


def test_the_wheel_has_every_package() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader")
    listed = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    found = {".".join(folder.relative_to(PROJECT).parts) for folder in folders}
    assert set(listed) == found | {"raytrainer.search_spaces"}

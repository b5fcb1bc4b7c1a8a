"""What the README shows works as it stands: its space file, its commands, its imports, the files that it names."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from raytrainer.cli import VERBS
from raytrainer.config.check import check
from raytrainer.config.filling import fill_in
from raytrainer.config.load import load_space

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """Verb and arguments of every call of the command line, `python tune.py` included."""
    lines = [shlex.split(part, comments=True) for block in blocks("bash") for part in re.split(r"\n|&&", block)]
    tune = [["tune", *words[2:]] for words in lines if words[:2] == ["python", "tune.py"]]
    return tune + [words[1:] for words in lines if words[:1] == ["raytrainer"]]


def test_the_space_file_has_no_mistake(tmp_path: Path, bccd: Path, pretrained: Path) -> None:
    (text,) = blocks("yaml")
    file = tmp_path / "shown.yaml"
    file.write_text(text, encoding="utf-8")
    assert check(fill_in(load_space(file, [f"data={bccd}", f"model={pretrained}"]))) == []


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_commands_are_understood(command: list[str]) -> None:
    verb, *arguments = command
    assert verb in VERBS
    parsed = import_module(f"raytrainer.commands.{verb}").parser().parse(arguments)
    assert len(vars(parsed)) > 1


def test_every_verb_is_shown() -> None:
    assert {verb for verb in VERBS if f"raytrainer {verb}" not in README and verb not in ("check", "export")} == set()


def test_what_is_imported_exists() -> None:
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert all(hasattr(import_module(node.module), alias.name) for alias in node.names)


def test_the_files_that_it_names_exist() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    named = re.findall(r"`((?:benchmarks|docs|tests|search_spaces|raytrainer|\.ci)/[\w./-]+)`", README)
    assert links
    assert [name for name in links + named if not (PROJECT / name).exists()] == []


def test_every_benchmark_is_told() -> None:
    scripts = [path for path in (PROJECT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")]
    assert scripts
    assert [path.name for path in scripts if path.name not in README] == []


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_two_commands_are_there_and_in_the_makefile(target: str) -> None:
    assert f"make {target}" in README
    assert f"\n{target}: " in (PROJECT / "Makefile").read_text(encoding="utf-8")

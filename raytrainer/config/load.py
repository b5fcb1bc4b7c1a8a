"""From a space file and the command line to a `Space`, or to everything that is wrong with their form."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from raytrainer.config.document import Document
from raytrainer.config.earlier import up_to_date
from raytrainer.config.form import Form, holds_text
from raytrainer.config.metric_names import default_fitness
from raytrainer.config.model_file import model_facts
from raytrainer.config.objectives import alone
from raytrainer.config.problems import Problem, UserError, raise_for, suggest
from raytrainer.config.schema import json_schema
from raytrainer.config.space import Space, as_name
from raytrainer.config.yaml_lines import read_yaml

FLAGS: dict[str, str] = {
    "model": "--model",
    "data": "--data",
    "name": "--name",
    "storage": "--storage",
    "train.epochs": "--epochs",
    "search.trials": "--trials",
    "search.seed": "--seed",
    "resources.max_concurrent": "--max-concurrent",
    "resources.cpus": "--cpus-per-trial",
    "resources.gpus": "--gpus-per-trial",
}
"""Keys that have a flag of their own on the command line."""

FILES = ("model", "data")
FILE_ARGUMENTS = ("pretrained", "distill_model")
FUNCTION = re.compile(r"(?P<file>.+\.py):(?P<function>[A-Za-z_]\w*)$")


def load_space(path: str | Path, overrides: Sequence[str] = (), flags: Mapping[str, Any] | None = None) -> Space:
    """Read a space file, apply flags, then `key.path=value` overrides, and check the form of the result.

    Args:
        path: a file, or the name of a shipped one, with or without `.yaml`.
        overrides: values of `--set`.
        flags: values by dotted key, such as `{"search.trials": 8}`; None counts as not given.

    Relative paths of a model, dataset or fitness file are looked up in the working folder, then beside the space file,
    and become absolute where they exist; other names are left for Ultralytics to find.

    Raises:
        UserError: with every problem of the file's form, or the first that keeps it from being read.
    """
    file = find_space(path)
    data, origins = read_yaml(file)
    document = Document(up_to_date(data, origins), origins, holds_text)
    problems = _changed(document, overrides, flags or {})
    form = Form(document)
    fields = form.read()
    raise_for([*problems, *form.problems])
    for key in FILES:
        fields[key] = _existing(fields[key], file)
    for key in FILE_ARGUMENTS:
        if isinstance(fields["train"].get(key), str):
            fields["train"][key] = _existing(fields["train"][key], file)
    if isinstance(goal := alone(fields.get("fitness", "")), str) and (function := FUNCTION.match(goal)):
        fields["fitness"] = f"{_existing(function['file'], file)}:{function['function']}"
    elif "fitness" not in fields:
        fields["fitness"] = default_fitness(model_facts(fields["model"]).task)
    space = _build(fields, file, document)
    space._automatic, space._taken_out = form.automatic, form.taken_out
    return space


def find_space(path: str | Path) -> Path:
    """The file as given, else the shipped space file of that name.

    Raises:
        UserError: if there is neither, with the names of those that are shipped.
    """
    given = Path(path)
    for candidate in (str(path), f"{path}.yaml"):
        if os.path.isfile(candidate):
            return Path(candidate)
    shipped = {file.name: file for file in shipped_spaces()}
    if given.parent == Path() and (found := shipped.get(given.name) or shipped.get(f"{given.name}.yaml")):
        return found
    raise UserError([Problem(str(path), None, None, f"no such space file{suggest(given.name, sorted(shipped))}")])


def shipped_spaces() -> list[Path]:
    """The space files that come with the package: in an installed one, or in the checkout that it is run from."""
    package = Path(__file__).resolve().parent.parent
    folders = (package / "search_spaces", package.parent / "search_spaces")
    return sorted(next((files for folder in folders if (files := list(folder.glob("*.yaml")))), []))


def _changed(document: Document, overrides: Sequence[str], flags: Mapping[str, Any]) -> list[Problem]:
    given = {key: value for key, value in flags.items() if value is not None}
    changes = [partial(document.replace, key, value, FLAGS.get(key, key)) for key, value in given.items()]
    changes += [partial(document.override, text) for text in overrides]
    problems = []
    for change in changes:
        try:
            change()
        except UserError as error:
            problems += error.problems
    return problems


def _existing(name: str, beside: Path) -> str:
    """Absolute path of a file that exists, else the name."""
    for candidate in (name, os.path.join(beside.parent, name)):
        if os.path.exists(candidate):
            return os.path.abspath(candidate)
    return name


def _build(fields: dict[str, Any], file: Path, document: Document) -> Space:
    fields.setdefault("name", as_name(file.stem))
    space = Space(**fields, source=Path(os.path.abspath(file)))
    space._origins = document.origins
    return space


__all__ = ["FLAGS", "find_space", "json_schema", "load_space", "shipped_spaces"]

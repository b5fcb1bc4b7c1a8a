"""What ships with the package: space files, the schema of editors, and where both are found."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from raytrainer.config.load import FLAGS, json_schema, load_space, shipped_spaces
from raytrainer.config.reserved import AT_THE_TOP
from raytrainer.config.settings import Settings
from raytrainer.config.space import Resources, Search, Space
from raytrainer.config.upstream import installed_version
from raytrainer.config.yaml_lines import read_yaml

PROJECT = Path(__file__).resolve().parents[2]
SCHEMA_FILE = PROJECT / "search_spaces" / "space.schema.json"
NAMES = [file.name for file in shipped_spaces()]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_the_four_are_there() -> None:
    assert NAMES == ["demo.yaml", "detr.yaml", "imbalanced.yaml", "yolo.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_editors_know_the_schema_of_a_shipped_file(name: str, validator: jsonschema.Draft7Validator) -> None:
    file = next(file for file in shipped_spaces() if file.name == name)
    modeline, _, _ = file.read_text(encoding="utf-8").partition("\n")
    assert modeline == "# yaml-language-server: $schema=space.schema.json"
    assert list(validator.iter_errors(read_yaml(file)[0])) == []
    assert list(validator.iter_errors(yaml.safe_load(load_space(file).to_yaml()))) == []


def test_the_schema_of_editors_is_up_to_date() -> None:
    stored = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    if stored["$comment"] != f"for ultralytics {installed_version()}":
        pytest.skip(f"the stored schema is {stored['$comment']}, not {installed_version()}")
    assert stored == json_schema(), "python -m raytrainer.config.schema > search_spaces/space.schema.json"


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        ({}, True),
        ({"train": None, "space": None}, True),
        ({"train": {"lr0": 0.1, "freeze": [1, "22.cv3"], "amp": "bf16"}}, True),
        ({"train": {"lr0": 2}}, False),
        ({"train": {"lr": 0.1}}, False),
        ({"train": {"model": "a.pt"}}, False),
        ({"trainer": {"class_weights": {"cat": 2}, "freeze": "backbone"}}, True),
        ({"trainer": {"class_weights": {"cat": 0}}}, False),
        ({"search": {"pruner": "ahsa"}}, False),
        ({"resources": {"gpus": "auto"}}, True),
        ({"keep": "top-3"}, True),
        ({"keep": "top"}, False),
        ({"space": {"lr0": {"low": 1e-5, "high": 0.1, "log": True, "when": {"optimizer": ["SGD"]}}}}, True),
        ({"space": {"lr0": [0.1, 0.2], "class_weights.cat": {"low": 1, "high": 2}, "freeze": None}}, True),
        ({"space": {"lr0": {"low": 1e-5, "hihg": 0.1}}}, False),
        ({"space": {"lr0": {"low": 1e-5}}}, False),
        ({"space": {"cos_lr": {"low": 0, "high": 1}}}, False),
        ({"space": {"epochs": [1, 2]}}, False),
        ({"space": {"lr0": [0.1]}}, False),
    ],
    ids=str,
)
def test_the_schema_tells_right_from_wrong(data: Any, valid: bool, validator: jsonschema.Draft7Validator) -> None:
    assert validator.is_valid(data) is valid


def test_every_key_is_described_for_editors() -> None:
    properties = json_schema()["properties"]
    keys = {("", name): schema for name, schema in properties.items() if "properties" not in schema}
    for section in ("train", "trainer", "search", "resources", "space"):
        keys |= {(section, name): schema for name, schema in properties[section]["properties"].items()}
    assert [key for key, schema in keys.items() if not schema.get("description")] == []


def test_what_pydantic_holds_and_the_schema_are_one() -> None:
    properties = json_schema()["properties"]
    assert properties["trainer"]["properties"].keys() == Settings.model_fields.keys() - {*AT_THE_TOP}
    assert properties["search"]["properties"].keys() == Search.model_fields.keys()
    assert properties["resources"]["properties"].keys() == Resources.model_fields.keys()
    assert properties.keys() == Space.model_fields.keys() - {"source"}


def test_flags_are_keys_of_the_schema() -> None:
    properties = json_schema()["properties"]
    for key in FLAGS:
        section, _, name = key.rpartition(".")
        assert name in (properties[section]["properties"] if section else properties)


@pytest.mark.parametrize("layout", ["wheel", "checkout"])
def test_shipped_files_are_found_wherever_the_package_lies(layout: str, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "raytrainer", tmp_path / "raytrainer", ignore=shutil.ignore_patterns("__pycache__"))
    place = tmp_path / "raytrainer" if layout == "wheel" else tmp_path
    shutil.copytree(PROJECT / "search_spaces", place / "search_spaces")
    command = (
        "import sys\n"
        "sys.path.insert(0, '.')\n"
        "from raytrainer.config.load import load_space\n"
        "print(load_space('detr').source)\n"
    )
    ran = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(ran.stdout.strip()) == place / "search_spaces" / "detr.yaml"


def test_configuration_is_read_without_the_heavy_libraries() -> None:
    """Importing all of this room, and checking a space, imports neither torch nor what would."""
    command = (
        "import pkgutil, importlib, sys\n"
        "import raytrainer.config as room\n"
        "for module in pkgutil.iter_modules(room.__path__):\n"
        "    importlib.import_module(f'raytrainer.config.{module.name}')\n"
        "from raytrainer.config.load import load_space\n"
        "from raytrainer.config.check import check\n"
        "check(load_space('yolo.yaml'))\n"
        "heavy = {'torch', 'ray', 'optuna', 'ultralytics', 'numpy'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", command], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_module_prints_the_schema() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "raytrainer.config.schema"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == json_schema()

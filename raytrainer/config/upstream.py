"""The installed Ultralytics as text: found without importing it, which would take seconds and start torch."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from raytrainer.config.problems import Problem, UserError


@cache
def package() -> Path:
    """The folder of the installed `ultralytics` package.

    Raises:
        UserError: if it is not installed.
    """
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        raise UserError([Problem(None, None, None, "ultralytics is not installed: pip install ultralytics")])
    return Path(spec.origin).parent


def installed_version() -> str:
    """Version of the installed Ultralytics, or an empty string if it has no metadata."""
    try:
        return version("ultralytics")
    except PackageNotFoundError:
        return ""


def assignments(file: str) -> Iterator[tuple[str, ast.expr]]:
    """Names that a file of the package assigns at its top level, each with the expression."""
    for node in ast.parse((package() / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def settings() -> dict[str, Any]:
    """What the user has set with `yolo settings`, empty if nothing (`SettingsManager`, ultralytics/utils/__init__.py).

    A settings file that cannot be read counts as none, since Ultralytics replaces it by its defaults.
    """
    file = _config_folder() / "settings.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def datasets_folder() -> Path:
    """Where Ultralytics looks for a dataset whose `path:` is relative, and puts those that it downloads."""
    if isinstance(folder := settings().get("datasets_dir"), str):
        return Path(folder)
    root = _git_root()
    return ((root.parent if os.access(root.parent, os.W_OK) else root) if root else Path().resolve()) / "datasets"


def weights_folder() -> Path | None:
    """Where Ultralytics looks for a checkpoint that the working folder does not have."""
    folder = settings().get("weights_dir")
    return Path(folder) if isinstance(folder, str) else None


def _config_folder() -> Path:
    """As `get_user_config_dir` in ultralytics/utils/__init__.py."""
    if folder := os.environ.get("YOLO_CONFIG_DIR"):
        return Path(folder).expanduser() / "Ultralytics"
    places = {
        "Windows": Path.home() / "AppData" / "Roaming",
        "Darwin": Path.home() / "Library" / "Application Support",
    }
    linux = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"))
    return places.get(platform.system(), linux) / "Ultralytics"


def _git_root() -> Path | None:
    """Root of the git checkout that the package itself lies in, if it does, as Ultralytics' `GIT.root`."""
    return next((folder for folder in package().parents if (folder / ".git").exists()), None)

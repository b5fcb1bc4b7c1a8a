"""Versions of everything that decides what a training gives."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

from raytrainer.version import __version__

PACKAGES = ("torch", "ultralytics", "ray", "optuna")


def versions() -> dict[str, str]:
    """Python's version, this package's, and those of the packages it trains and searches with, without importing them.

    Raises:
        importlib.metadata.PackageNotFoundError: if one of them is not installed.
    """
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "raytrainer": __version__, **found}


def version_changes(recorded: Mapping[str, str]) -> list[str]:
    """One sentence for every version that differs from a recorded one."""
    here = versions()
    return [
        f"{name} was {then} and is {here.get(name, 'not installed')} here"
        for name, then in recorded.items()
        if here.get(name) != then
    ]

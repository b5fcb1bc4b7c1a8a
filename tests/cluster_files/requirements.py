"""What the package requires of others."""

from __future__ import annotations

from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet


def required(name: str) -> SpecifierSet:
    """The versions of a package that this one takes."""
    wanted = [Requirement(each) for each in requires("raytrainer") or []]
    return next(each.specifier for each in wanted if each.name == name)

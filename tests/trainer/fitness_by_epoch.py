"""A fitness that the test decides: a value for each epoch, whatever the metrics are, resumed or not."""

from __future__ import annotations

import os
from collections.abc import Mapping

EPOCH = "EPOCH_OF_A_TEST"
"""Environment variable with the epoch, counted from 1."""
VALUES = (-3.0, -1.0, -2.0, -1.5)
"""Negative, so that the stock fitness is always better; the best epoch is the second."""


def score(metrics: Mapping[str, float]) -> float:  # noqa: ARG001, what the package calls it with
    return VALUES[int(os.environ[EPOCH]) - 1]

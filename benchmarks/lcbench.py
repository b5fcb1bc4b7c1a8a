"""Learning curves for nothing: the LCBench surrogate of YAHPO Gym at ../shared/data/yahpo/lcbench.

Zimmer et al., Auto-PyTorch Tabular (arXiv 2006.13799); Pfisterer et al., YAHPO Gym (arXiv 2109.03670). A small network
trained for 52 epochs on a table, seven hyperparameters, validation accuracy in percent.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measuring import SHARED
from raytrainer.config.parameters import Categorical, Float, Integer, Parameter
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.suggestion import distribution

Array = NDArray[np.float64]

FOLDER = SHARED / "yahpo" / "lcbench"
TASKS = ("3945", "7593", "34539", "126025", "126026", "126029", "146212", "167104", "167149", "167152")
EPOCHS = 52
DRAWN = 20_000
"""Random configurations that regret is measured by."""
ORDER = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")
"""Columns of the surrogate after the epoch."""
SPACE: dict[str, Parameter] = {
    "batch_size": Integer(low=16, high=512, log=True, default=65),
    "learning_rate": Float(low=1e-4, high=0.1, log=True, default=0.06401),
    "momentum": Float(low=0.1, high=0.99, default=0.94368),
    "weight_decay": Float(low=1e-5, high=0.1, default=0.003013),
    "num_layers": Integer(low=1, high=5, default=5),
    "max_units": Integer(low=64, high=1024, log=True, default=341),
    "max_dropout": Float(low=0.0, high=1.0, default=0.07385),
}
"""The defaults are the best on average of 300 configurations on tasks that are not measured."""
MIXED: dict[str, Parameter] = {
    **{name: SPACE[name] for name in ("learning_rate", "momentum", "weight_decay")},
    "batch_size": Categorical(choices=[16, 32, 64, 128, 256, 512], default=64),
    "num_layers": Categorical(choices=[1, 2, 3, 4, 5], default=5),
    "max_units": Categorical(choices=[64, 128, 256, 512, 1024], default=256),
    "dropout": Categorical(choices=[False, True], default=True),
    "max_dropout": Float(low=0.0, high=1.0, default=0.07385, when={"dropout": True}),
}
"""The same with half of it categorical or conditional."""
SPACES = {"plain": SPACE, "mixed": MIXED}


def missing() -> str | None:
    """What this machine lacks, if anything."""
    there = FOLDER.is_dir() and find_spec("onnxruntime") is not None
    return None if there else f"skipped, it needs onnxruntime and the surrogate at {FOLDER}"


class Task:
    """One table to train on."""

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.name = name
        self._session = _session(folder)
        self._code = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"][name]

    def curve(self, params: Mapping[str, Any]) -> Array:
        """Validation accuracy in percent after each of the 52 epochs; deterministic."""
        return self._accuracy(np.arange(1, EPOCHS + 1), [params] * EPOCHS)

    def final(self, configurations: Sequence[Mapping[str, Any]]) -> Array:
        """Validation accuracy in percent after the last epoch, for each configuration."""
        return self._accuracy(np.full(len(configurations), EPOCHS), configurations)

    def _accuracy(self, epochs: NDArray[np.int64], configurations: Sequence[Mapping[str, Any]]) -> Array:
        rows = np.array([[complete(params)[name] for name in ORDER] for params in configurations])
        inputs = np.column_stack([epochs, rows]).astype(np.float32)
        code = np.full((len(inputs), 1), self._code, np.int32)
        accuracy: Array = self._session.run(None, {"x_cat": code, "x_cont": inputs})[0][:, 1].astype(float)
        return accuracy


def complete(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The surrogate's seven of a configuration of either space; without dropout, `max_dropout` is 0."""
    return params if params.get("dropout", True) else {**params, "max_dropout": 0.0}


@cache
def yardstick(name: str) -> tuple[float, float]:
    """Accuracy of the best and of the median of 20,000 random configurations, drawn once for each task."""
    encoding = Encoding({key: distribution(parameter) for key, parameter in SPACE.items()})
    points = np.random.default_rng(int(name)).random((DRAWN, encoding.dimensions))
    configurations = [encoding.decode(point) for point in points]
    final = Task(name).final(configurations)
    return float(final.max()), float(np.median(final))


@cache
def _session(folder: Path) -> Any:
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options)

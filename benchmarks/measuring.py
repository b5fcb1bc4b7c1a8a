"""What the benchmarks share: fresh processes, a small data set, means with their spread, tables, and where it ran."""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import shlex
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from raytrainer.config.dataset import read_dataset

P = ParamSpec("P")
T = TypeVar("T")

BENCHMARKS = Path(__file__).resolve().parent
SHARED = BENCHMARKS.parent.parent / "shared" / "data"
BLOOD_CELLS = SHARED / "bccd" / "data.yaml"
PRETRAINED = SHARED / "weights" / "yolov5n-pretrained.pt"
LIBRARIES = ("torch", "ultralytics", "ray", "optuna", "numpy")


def options(description: str) -> argparse.ArgumentParser:
    """A command line with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/results as well")
    return parser


def fresh(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, float]:
    """Call a function of a module in a new process that inherits nothing.

    Returns:
        What it returns, and the wall seconds from before the process started until it had ended.
    """
    begun = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result = pool.submit(function, *args, **kwargs).result()
    return result, time.perf_counter() - begun


class Kept:
    """Results of runs that take long, in a file of one JSON line each: what is there is not run again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._known: dict[str, dict[str, Any]] = dict(map(json.loads, lines))

    def __contains__(self, setting: Mapping[str, Any]) -> bool:
        return json.dumps(setting, sort_keys=True) in self._known

    def get(self, setting: Mapping[str, Any], run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a run with this setting, which is done now if it is not there."""
        key = json.dumps(setting, sort_keys=True)
        if key not in self._known:
            self._known[key] = run()
            with self._path.open("a") as file:
                file.write(json.dumps([key, self._known[key]]) + "\n")
        return self._known[key]


def subset(data: Path, target: Path, *, train: int | None = None, val: int | None = None) -> Path:
    """Copy the first images of a YOLO data set, with their labels, to a folder that label caches may be written to.

    Args:
        data: its data.yaml.
        target: an empty folder.
        train: how many training images, None for all; `val` likewise.

    Returns:
        The data.yaml of the copy.
    """
    source = read_dataset(str(data))
    for split, images, count in (("train", source.train, train), ("val", source.val, val)):
        for image in sorted(images)[:count]:
            label = _label(image)
            for path, folder in ((image, "images"), (label, "labels")):
                if path.exists():
                    (target / folder / split).mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target / folder / split)
    copy = target / "data.yaml"
    names = "".join(f"  {index}: {name}\n" for index, name in source.names.items())
    copy.write_text(f"train: images/train\nval: images/val\nnames:\n{names}")
    return copy


def _label(image: Path) -> Path:
    """Where YOLO looks for an image's labels: the last folder called `images` becomes `labels`."""
    before, _, after = str(image).rpartition(f"{os.sep}images{os.sep}")
    return (Path(before) / "labels" / after).with_suffix(".txt")


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation, as `0.123 ± 0.045`."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"


def standard_error(values: Sequence[float]) -> float:
    """Standard error of the mean; infinite for a single value, which says nothing about it."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with columns of equal width, numbers to the right."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    first, *rest = ("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells)
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([first, rule, *rest])


def updated(published: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, group: int, stays: str) -> str:
    """A published table with rows put in, and what stood beneath it.

    Args:
        published: the table, its columns named by `header`.
        header: names of the columns.
        rows: each takes the place of the one whose cells are the same up to its number of runs, in the column after
            those of the group and the one that tells a group's rows apart; but not of one with more runs.
        group: how many first cells rows have in common that stand together.
        stays: the column that keeps what is published, or is left empty.
    """
    lines, _, beneath = published.partition("\n\n")
    names, _, *cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines())
    if names != list(header):
        raise ValueError(f"the published table has the columns {names}, not {list(header)}")
    known = {tuple(row[: group + 1]): row for row in cells}
    for row in rows:
        there = known.get(tuple(row[: group + 1]))
        if there is None or _runs(row[group + 1]) >= _runs(there[group + 1]):
            cell = there[names.index(stays)] if there else ""
            known[tuple(row[: group + 1])] = [
                cell if name == stays else each for name, each in zip(names, row, strict=True)
            ]
    groups = list(dict.fromkeys(key[:group] for key in known))
    ordered = sorted(known.values(), key=lambda row: groups.index(tuple(row[:group])))
    return f"{table(header, ordered)}\n\n{beneath}".rstrip()


def _runs(cell: str) -> int:
    """Of a cell such as `50 (5)`."""
    return int(cell.split()[0])


def environment() -> str:
    """One line: processor, cores, GPU, Python and the libraries' versions."""
    import torch

    gpu = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ", no GPU"
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    machine = f"{_processor()}, {os.cpu_count()} cores{gpu}"
    return f"{machine}; {platform.system()}, Python {platform.python_version()}, {libraries}"


def _processor() -> str:
    """The processor's name, or at least its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def publish(name: str, text: str, *, write: bool) -> None:
    """Print a result with where it ran and the command that gave it; write it to `benchmarks/results/` if asked."""
    import sys

    command = shlex.join(["python", f"benchmarks/{name}.py", *(a for a in sys.argv[1:] if a != "--write")])
    whole = f"{text}\n\n`{command}` on {environment()}.\n"
    print(whole)
    if write:
        target = BENCHMARKS / "results" / f"{name}.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text(whole)

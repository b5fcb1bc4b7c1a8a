"""Every customisation, alone and together, on every model, from every start, on one and two ranks: the same checks."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.settings import Settings

from .conformance_checks import Check, Outcome
from .conformance_rows import ARRAY, CHECKS, CUSTOMISATIONS, EPOCHS, FACTORS, ROWS, STARTS, Row
from .conformance_run import train_row
from .covering import covering_array, pairs, pairs_of
from .launcher import launch

MODELS = Path(__file__).parents[1] / "models"
RANK = Path(__file__).with_name("conformance_rank.py")
LOAD_WITHOUT_THIS_PACKAGE = """
import json, sys
sys.modules["raytrainer"] = None  # an import of it raises
import numpy
from ultralytics import RTDETR, YOLO
told = {}
for file in sys.argv[1:]:
    model = (RTDETR if "rtdetr" in file else YOLO)(file)
    results = model.predict(numpy.zeros((64, 64, 3), dtype=numpy.uint8), imgsz=64, device="cpu", verbose=False)
    told[file] = {"names": list(model.names.values()), "images": len(results)}
assert not [name for name in sys.modules if name.startswith("raytrainer.")]
print(json.dumps(told))
"""


class Table:
    """Trains a row when a check first asks for it, and all rows with several ranks in one launch."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.outcome = cache(self._outcome)
        self._ranked = cache(self._train_on_ranks)
        self._loaded = cache(self._load_all)

    def _outcome(self, row: Row) -> Outcome:
        job = self._job(row)
        seen = [ranks[row.name] for ranks in self._ranked()] if row.ranks > 1 else [train_row(job)]
        labels = self.data.parent / "labels" / "train"
        return Outcome(row.settings, EPOCHS, STARTS[row.start], seen, self._folder(row), labels, self._load)

    def _folder(self, row: Row) -> Path:
        return self.folder / f"{ROWS.index(row)}-{Path(row.model).stem}"

    def _job(self, row: Row) -> dict[str, Any]:
        own = MODELS / row.model
        return {
            "model": str(own) if own.exists() else row.model,
            "train": {**row.train, "data": str(self.data)},
            "settings": dict(row.settings),
            "folder": str(self._folder(row)),
            "interrupted_after": STARTS[row.start],
        }

    def _train_on_ranks(self) -> list[dict[str, Any]]:
        jobs = {row.name: self._job(row) for row in ROWS if row.ranks > 1}
        return launch(self.folder, jobs, RANK, timeout=1100)  # a slow machine took more than 400 s

    def _load(self, checkpoint: Path) -> Any:
        return self._loaded()[str(checkpoint)]

    def _load_all(self) -> dict[str, Any]:
        files = [str(self.outcome(row).last / "weights" / name) for row in ROWS for name in ("best.pt", "last.pt")]
        command = [sys.executable, "-c", LOAD_WITHOUT_THIS_PACKAGE, *files]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


@pytest.fixture(scope="module")
def table(bccd: Path, tmp_path_factory: pytest.TempPathFactory) -> Table:
    return Table(tmp_path_factory.mktemp("table"), bccd)


@pytest.mark.timeout(1200)  # the first one trains all the rows of two ranks
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(row: Row, check: Check, table: Table) -> None:
    check(table.outcome(row))


def test_the_table_has_every_pair_and_every_model_from_every_start_on_one_and_on_two_ranks() -> None:
    covered = set().union(*(pairs_of(row) for row in ARRAY))
    assert covered == set(pairs(FACTORS))
    assert max(map(len, ARRAY)) == len(FACTORS)
    assert len({(row.model, row.start, row.ranks) for row in ROWS[-len(ARRAY) :]}) == 4 * 3 * 2


def test_the_table_has_every_setting() -> None:
    asked = {field for options, _ in CUSTOMISATIONS.values() for option in options for field in option}
    assert asked == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("choices", "together", "most"),
    [
        ([2], 1, 2),
        ([2, 2], 0, 4),
        ([3, 2, 4], 0, 12),
        ([2] * 15, 0, 12),
        ([4, 3, 3, 3, 2, 2, 2], 0, 16),
        ([4, 3, 3, 3, 2, 2, 2], 2, 16),
        ([2, 2, 2, 3], 3, 9),
        ([1, 5, 1], 0, 5),
    ],
)
def test_a_covering_array_has_what_it_should_in_few_rows(choices: list[int], together: int, most: int) -> None:
    factors = {f"factor{index}": count for index, count in enumerate(choices)}
    meeting = list(factors)[:together]
    rows = covering_array(factors, meeting)
    assert all(list(row) == list(factors) for row in rows)
    assert all(row[name] in range(count) for row in rows for name, count in factors.items())
    assert set(pairs(factors)) == set().union(*(pairs_of(row) for row in rows))
    met = {tuple(row[name] for name in meeting) for row in rows}
    assert len(met) == math.prod(choices[:together])
    assert len(rows) <= most
    assert rows == covering_array(factors, meeting)

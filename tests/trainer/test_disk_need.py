"""What a training takes of the disk is what was foretold after its first batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrainer.trainer.checkpoint import strip
from raytrainer.trainer.probe import probe
from raytrainer.trainer.records import EpochRecord
from raytrainer.trainer.run import train


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
def test_what_was_foretold_is_what_is_taken(optimizer: str, trial: Any, pretrained: Path, tmp_path: Path) -> None:
    config = trial(pretrained, optimizer=optimizer, epochs=3)
    need, seen = probe(config, threads=1).disk, []
    weights = tmp_path / "run" / "weights"

    def look(_: EpochRecord) -> None:
        seen.append({path.name: path.stat().st_size for path in weights.iterdir()})

    train(config, tmp_path / "run", threads=1, on_epoch=look, final_eval=False)
    assert seen[-1].keys() == {"best.pt", "last.pt", "settings.yaml", "state.pt", "state.prev.pt"}
    most = max(map(sum, (files.values() for files in seen)))
    assert 0.5 * need.training < most < need.training
    strip(weights)
    assert (weights / "best.pt").stat().st_size == pytest.approx(need.kept, rel=0.1)

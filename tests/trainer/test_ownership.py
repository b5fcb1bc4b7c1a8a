"""A run that another process has taken up is left alone by the first, whenever that comes back to life."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings
from raytrainer.trainer.ownership import OWNER_FILE, Superseded
from raytrainer.trainer.records import EpochRecord, read_records
from raytrainer.trainer.run import train

OTHER = """
import json, sys
from pathlib import Path
from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings
from raytrainer.trainer.run import train
arguments = json.loads(sys.argv[1])
train(TrialConfig(arguments.pop("model"), arguments, Settings(), {}), Path(sys.argv[2]), threads=1, final_eval=False)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_process_that_began_last_owns_the_run(quick_args: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    folder, arguments = tmp_path / "run", quick_args("yolov8n.yaml", epochs=3)
    config = TrialConfig(str(arguments["model"]), {k: v for k, v in arguments.items() if k != "model"}, Settings(), {})
    left: dict[str, bytes] = {}

    def taken_up(record: EpochRecord) -> None:
        if record.epoch == 1:
            subprocess.run([sys.executable, "-c", OTHER, json.dumps(arguments), str(folder)], check=True)
            left.update(contents(folder))

    with pytest.raises(Superseded, match="another process goes on with"):
        train(config, folder, threads=1, on_epoch=taken_up, final_eval=False)
    assert [record.epoch for record in read_records(folder / "records.jsonl")] == [1, 2, 3]
    assert contents(folder) == left
    assert OWNER_FILE not in left

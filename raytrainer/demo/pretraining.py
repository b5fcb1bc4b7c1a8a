"""Train the demo's base model: `python -m raytrainer.demo.pretraining MODEL DATA ARGUMENTS FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from raytrainer.config.assemble import TrialConfig
from raytrainer.config.settings import Settings
from raytrainer.trainer.environment import prepare_process
from raytrainer.trainer.run import train


def main(model: str, data: str, arguments: str, folder: str) -> None:
    """Train `model` on `data` with the Ultralytics arguments in a YAML file; leaves `weights/best.pt` in `folder`."""
    prepare_process(offline=True)
    chosen = {"data": data, **yaml.safe_load(Path(arguments).read_text(encoding="utf-8"))}
    train(TrialConfig(model=model, train=chosen, settings=Settings(), params={}), Path(folder), threads=1)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Other tasks than detection, with other base trainers: resumed exactly, and on several ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.settings import Settings

from .launcher import QUICK, launch
from .runs import differences, last_state, train_through
from .test_metrics import task_data

SETTINGS = {"backbone_lr_ratio": 0.1, "clip_grad_norm": 0.5, "freeze": "backbone", "unfreeze_epoch": 1}
MODELS = {"segment": ("yolo26n-seg.yaml", {"class_weights": "inverse_frequency"}), "classify": ("yolo11n-cls.yaml", {})}
"""With what else applies to them."""


@pytest.fixture(scope="module")
def data_for(bccd: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The dataset of each task."""
    made = {task: task_data(task, bccd, tmp_path_factory.mktemp(task) / "data") for task in MODELS}
    return made.__getitem__


@pytest.mark.parametrize("task", MODELS)
def test_a_resumed_run_is_the_uninterrupted_one(
    task: str, data_for: Callable[[str], str], trial: Any, tmp_path: Path
) -> None:
    model, more = MODELS[task]
    config = trial(model, Settings(**SETTINGS, **more), epochs=3, nbs=12, data=data_for(task), close_mosaic=1)
    train_through(config, tmp_path / "whole")
    train_through(config, tmp_path / "resumed", [1, 2])
    assert list(differences(last_state(tmp_path / "whole"), last_state(tmp_path / "resumed"))) == []


def test_ranks_on_two_nodes_are_equal_to_the_bit(data_for: Callable[[str], str], tmp_path: Path) -> None:
    """Each is the first of its node, and reads the dataset as if alone there."""
    jobs = {}
    for task, (model, more) in MODELS.items():
        own = {"model": model, "data": data_for(task), "epochs": 2, "project": str(tmp_path), "name": task}
        jobs[task] = {"settings": SETTINGS | more, "arguments": QUICK | own}
    first, second = launch(tmp_path, jobs, nodes=2)
    for task in MODELS:
        assert first[task]["world_size"] == second[task]["world_size"] == 2
        assert first[task]["local_rank"] == second[task]["local_rank"] == 0
        assert first[task]["digests"] == second[task]["digests"]
        assert len(set(first[task]["digests"])) == 2
        assert first[task]["trains"] == second[task]["trains"]
        assert first[task]["trains"][0] < first[task]["trains"][1]
        assert (first[task]["validated"], second[task]["validated"]) == ([True, True], [False, False])
        assert {"best.pt", "last.pt"} <= set(first[task]["written"])

"""Several ranks: the same replicas, one batch, one folder, and clear errors instead of silence or waiting."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from ultralytics import utils

from raytrainer.config.problems import UserError
from raytrainer.trainer import ranks
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import trainer_of
from raytrainer.trainer.replicas import Replica, replicas, wrap_again

from .launcher import QUICK, launch, start

UNCHANGED = {"mosaic": 0.0, "fliplr": 0.0, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0, "translate": 0.0, "scale": 0.0}
"""No augmentation: the images of a batch do not depend on which rank loads them."""
BATCH_NORMS = {
    "yolo": [*range(6), *(f"6.{branch}.{n}.{i}" for branch in ("cv2", "cv3") for n in range(3) for i in range(2))],
    "rtdetr": [*range(15), "15.input_proj"],
}
"""Of the tiny models: everything with batch normalisation."""


@pytest.fixture(scope="module")
def one_batch(
    bccd: Path, yolo_tiny: Path, rtdetr_tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Jobs of four epochs of one batch, which holds all images, so that its order is no matter."""
    fixed = QUICK | UNCHANGED | {"data": str(bccd), "epochs": 4, "batch": 12}
    models = {"yolo": {"model": yolo_tiny, "imgsz": 128, "optimizer": "SGD", "lr0": 0.01},
              "rtdetr": {"model": rtdetr_tiny}}  # fmt: skip
    own = {"project": str(tmp_path_factory.mktemp("same"))}
    return {
        f"the same {name}": {
            "settings": {"freeze": BATCH_NORMS[name]},
            "arguments": fixed | own | given | {"model": str(given["model"]), "name": name},
        }
        for name, given in models.items()
    }


@pytest.fixture(scope="module")
def two_ranks(
    bccd: Path, rtdetr_tiny: Path, one_batch: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What two ranks saw of each run; one launch serves every test."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "yolo").mkdir()  # an earlier run: each rank alone would choose another name

    def job(name: str, model: str | Path, settings: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        fixed = QUICK | {"data": str(bccd), "model": str(model), "project": str(folder), "name": name}
        return {"settings": settings, "arguments": fixed | arguments}

    jobs = {
        "yolo": job("yolo", "yolov8n.yaml", {"freeze": "backbone", "unfreeze_epoch": 1, "sync_bn": True}, epochs=5),
        "rtdetr": job("rtdetr", rtdetr_tiny, {"class_weights": "inverse_frequency", "freeze": 4, "unfreeze_epoch": 1,
                      "unfreeze_every": 1, "backbone_lr_ratio": 0.1}, epochs=4),
        "odd": job("odd", "yolov8n.yaml", {}, batch=5, epochs=1),
    }  # fmt: skip
    return launch(folder, jobs | one_batch)


@pytest.mark.parametrize(("run", "steps"), [("yolo", 15), ("rtdetr", 12)])
def test_replicas_are_equal_to_the_bit_before_and_after_an_unfreeze(
    run: str, steps: int, two_ranks: list[dict[str, Any]]
) -> None:
    first, second = (rank[run] for rank in two_ranks)
    assert first["steps"] == second["steps"] == steps
    assert first["digests"] == second["digests"]
    assert len(set(first["digests"])) == len(first["digests"])  # and they do train
    assert first["trains"] == second["trains"]
    assert first["trains"][0] < first["trains"][-1]
    assert first["losses"] != second["losses"]  # on images of their own


def test_the_batch_is_that_of_all_ranks(two_ranks: list[dict[str, Any]]) -> None:
    for rank in two_ranks:
        assert rank["yolo"]["world_size"] == 2
        assert rank["yolo"]["batch_of_rank"] == 2
        assert rank["yolo"]["wrapped"] == "Replica"
        assert "batch=5 is the batch of all 2 ranks, use a multiple: 4" in rank["odd"]["error"]


def test_rank_zero_writes_and_all_share_its_folder(two_ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["yolo"] for rank in two_ranks)
    assert first["save_dir"] == second["save_dir"]
    assert Path(first["save_dir"]).name != "yolo"
    assert {"last.pt", "best.pt"} <= set(first["written"])
    assert all(first["validated"])
    assert not any(second["validated"])


def test_cpu_ranks_do_not_synchronise_batch_normalisation(two_ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["yolo"] for rank in two_ranks)
    assert not first["synchronised"]
    assert first["statistics"] != second["statistics"]


@pytest.mark.parametrize("run", ["the same yolo", "the same rtdetr"])
def test_two_ranks_train_as_one_does_on_the_same_batch(
    run: str, two_ranks: list[dict[str, Any]], one_batch: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """With batch normalisation frozen every loss of every epoch is within 1 % of one rank's.

    It is a mean over the objects of all ranks. They do not see quite the same: YOLO's is one over each rank's own
    objects, and RT-DETR draws other denoising queries. RT-DETR is trained by AdamW, which does not mind that upstream's
    gradients of it grow with the number of ranks.
    """
    settings, arguments = one_batch[run]["settings"], one_batch[run]["arguments"]
    # Stock training seeds each rank differently; rank 0, whose weights count, has 1 more.
    alone = arguments | {"seed": 1, "project": str(tmp_path)}
    trainer = compose(trainer_of(arguments["model"]), **settings)(overrides=alone)
    curve: list[dict[str, float]] = []
    trainer.add_callback("on_train_epoch_end", lambda at: curve.append({k: float(v) for k, v in at.tloss.items()}))
    trainer.train()
    seen = [rank[run] for rank in two_ranks]
    for epoch, losses in enumerate(curve):
        objects = [rank["boxes"][epoch] for rank in seen]
        for name, loss in losses.items():
            mean = np.average([rank["losses"][epoch][name] for rank in seen], weights=objects)
            assert mean == pytest.approx(loss, rel=0.01), (epoch, name)
    assert curve[-1]["cls_loss"] < 0.98 * curve[0]["cls_loss"], "nothing was learnt that could have differed"


def test_a_rank_that_fails_ends_the_other(bccd: Path, yolo_tiny: Path, tmp_path: Path) -> None:
    arguments = QUICK | {"data": str(bccd), "model": str(yolo_tiny), "epochs": 2, "project": str(tmp_path), "name": "f"}
    (tmp_path / "jobs.json").write_text(json.dumps({"fails": {"settings": {}, "arguments": arguments, "fails": 1}}))
    processes = start(tmp_path / "jobs.json")
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all(process.returncode != 0 for process in processes)
    assert "this rank was told to fail" in outputs[1]
    assert "Connection closed by peer" in outputs[0] or "Connection reset" in outputs[0], outputs[0][-2000:]


@pytest.mark.parametrize(
    ("dies", "event"), [(1, None), (0, "on_train_batch_start"), (1, "on_val_start"), (0, "on_model_save")],
    ids=["set-up", "first batch", "validation", "checkpoint"],
)  # fmt: skip
def test_a_rank_that_is_killed_leaves_no_other_waiting(
    dies: int, event: str | None, bccd: Path, yolo_tiny: Path, tmp_path: Path
) -> None:
    """Whatever it was doing. It ends long before the group's own timeout, with what is wrong."""
    arguments = QUICK | {"data": str(bccd), "model": str(yolo_tiny), "epochs": 2, "project": str(tmp_path), "name": "k"}
    jobs = {"dies": {"settings": {}, "arguments": arguments, "dies": [dies, event]}}
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    processes = start(tmp_path / "jobs.json")
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert processes[dies].returncode == -signal.SIGKILL, outputs[dies][-2000:]
    assert processes[1 - dies].returncode > 0
    other = outputs[1 - dies]
    assert "Connection closed by peer" in other or "Connection reset" in other, other[-2000:]


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend to be a rank: as `torch.distributed` has it, and as Ultralytics read it from the environment."""

    def pretend(rank: int, world_size: int, read: tuple[int, int, int]) -> None:
        monkeypatch.setattr(ranks.distributed, "is_initialized", lambda: world_size > 1)
        monkeypatch.setattr(ranks.distributed, "get_rank", lambda: rank)
        monkeypatch.setattr(ranks.distributed, "get_world_size", lambda: world_size)
        for name, value in zip(("RANK", "LOCAL_RANK", "WORLD_SIZE"), read, strict=True):
            monkeypatch.setattr(utils, name, value)

    return pretend


@pytest.mark.parametrize(
    ("rank", "world_size", "read", "fine"),
    [
        (0, 1, (-1, -1, 1), True),  # no ranks at all
        (1, 2, (1, 1, 2), True),
        (3, 4, (3, 1, 4), True),  # the second rank of the second node
        (1, 2, (-1, -1, 1), False),  # ultralytics was imported before the environment was set
        (1, 2, (0, 1, 2), False),
        (1, 2, (1, 1, 4), False),
        (1, 2, (1, -1, 2), False),
    ],
)
def test_what_ultralytics_read_must_be_what_torch_says(
    rank: int, world_size: int, read: tuple[int, int, int], fine: bool, group: Callable[..., None]
) -> None:
    group(rank, world_size, read)
    if fine:
        ranks.check_ranks()
        assert ranks.is_main() == (read[0] in {-1, 0})
    else:
        with pytest.raises(UserError, match="before ultralytics is imported"):
            ranks.check_ranks()


def test_a_trainer_becomes_one_rank_of_all_nodes(
    tmp_path: Path, group: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its device string, of which stock training makes the world, names the two GPUs of one node."""
    asked: list[Path] = []
    monkeypatch.setattr(ranks, "check_shared", asked.append)
    group(3, 4, (3, 1, 4))
    trainer = SimpleNamespace(world_size=2, ddp=True, batch_size=8, wdir=tmp_path)
    ranks.adopt(trainer)
    assert (trainer.world_size, trainer.ddp, asked) == (4, False, [tmp_path])
    trainer.batch_size = 6
    with pytest.raises(UserError, match="batch=6 is the batch of all 4 ranks"):
        ranks.adopt(trainer)


def test_ranks_without_a_group_are_an_error(group: Callable[..., None]) -> None:
    group(0, 1, (1, 1, 2))
    with pytest.raises(UserError, match=r"torch\.distributed is not initialised"):
        ranks.adopt(SimpleNamespace(world_size=0))
    ranks.adopt(SimpleNamespace(world_size=2))  # ranks that stock training spawned: it makes the group later


@pytest.mark.parametrize(
    ("device", "visible", "local_rank", "expected"),
    [
        ("cpu", 4, 1, "cpu"),
        (None, 0, 1, ""),
        ("0", 4, 2, "2"),
        ("0,1", 8, 5, "5"),
        (0, 1, 1, "0"),  # a launcher that shows each rank one GPU
        (None, 2, 1, "1"),
        ("0", 2, 2, None),
    ],
)
def test_each_rank_takes_its_own_visible_gpu(
    device: Any, visible: int, local_rank: int, expected: str | None, group: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    group(local_rank, 8, (local_rank, local_rank, 8))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    if expected is None:
        with pytest.raises(UserError, match="only 2 are visible"):
            ranks.device_of_this_rank(device)
    else:
        assert ranks.device_of_this_rank(device) == expected


@pytest.mark.parametrize(("batch", "message"), [(6, "use a multiple: 8"), (1, "use a multiple: 4"), (0.7, "one GPU")])
def test_a_batch_that_cannot_be_shared(batch: float, message: str) -> None:
    ranks.check_batch(8, 4)
    with pytest.raises(UserError, match=message):
        ranks.check_batch(batch, 4)


def test_a_folder_that_some_ranks_do_not_see(
    tmp_path: Path, group: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    group(0, 2, (0, 0, 2))
    others = [False]

    def gather(seen: list[Any], mine: bool) -> None:
        seen[:] = [mine, *others]

    monkeypatch.setattr(ranks.distributed, "all_gather_object", gather)
    with pytest.raises(UserError, match=r"not seen by ranks \[1\]"):
        ranks.check_shared(tmp_path)
    others[0] = True
    ranks.check_shared(tmp_path)


def test_ddp_is_stock_again_outside_of_the_set_up() -> None:
    stock = nn.parallel.DistributedDataParallel
    with replicas():
        assert nn.parallel.DistributedDataParallel is Replica
    assert nn.parallel.DistributedDataParallel is stock


def test_a_model_without_ddp_is_left_alone() -> None:
    trainer = SimpleNamespace(model=nn.Linear(1, 1))
    before = trainer.model
    wrap_again(trainer)
    assert trainer.model is before


def test_one_process_is_no_rank() -> None:
    assert not ranks.launched()
    assert ranks.arguments_of_this_rank({}, {"model": "x"}) == {"model": "x"}

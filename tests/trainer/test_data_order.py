"""A new loader goes on where another stood: the same images in the same order, and the same ones for mosaics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.data.build import build_dataloader
from ultralytics.data.dataset import YOLODataset
from ultralytics.utils import DEFAULT_CFG

from raytrainer.trainer.data_order import LoaderPosition, mosaic_buffers, restore_mosaic_buffers


class _Numbers(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        return index


def _epoch(loader: Any, position: LoaderPosition, reset: bool = False) -> list[int]:
    if reset:
        position.before_iterator(loader)
        loader.reset()
    elif loader.iterator is None:
        position.before_iterator(loader)
    seen: list[int] = []
    for batch in loader:
        position.batch_taken()
        seen += batch.tolist()
    return seen


@pytest.mark.parametrize(("length", "batch"), [(12, 4), (13, 4), (11, 4), (4, 4), (3, 4)])
@pytest.mark.parametrize("closed_after", [None, 1, 2])
@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_loader_goes_on_where_another_stood(length: int, batch: int, closed_after: int | None, done: int) -> None:
    """Whether or not the last batch is full, before and after mosaic was closed, which resets the loader."""

    def loader() -> Any:
        torch.manual_seed(0)
        return build_dataloader(_Numbers(length), batch, workers=0, device="cpu")

    whole, position = loader(), LoaderPosition()
    orders, states = [], []
    for epoch in range(5):
        orders.append(_epoch(whole, position, reset=epoch == closed_after))
        states.append(position.state(whole))
    resumed, position = loader(), LoaderPosition()
    position.restore(resumed, states[done - 1])
    assert [_epoch(resumed, position, reset=epoch == closed_after) for epoch in range(done, 5)] == orders[done:]
    assert all(sorted(order) == list(range(length)) for order in orders)
    assert orders[0] != orders[1]


def test_with_workers_the_order_is_no_replay() -> None:
    """Each worker runs ahead with random states of its own, so that the very place cannot be had again."""

    def loader() -> Any:
        torch.manual_seed(0)
        return build_dataloader(_Numbers(40), 4, workers=1, device="cpu")

    whole, position = loader(), LoaderPosition()
    first = _epoch(whole, position)
    state = position.state(whole)
    whole.close()
    resumed, position = loader(), LoaderPosition()
    position.restore(resumed, state)
    second = _epoch(resumed, position)
    resumed.close()
    assert sorted(second) == list(range(40))
    assert second != first


def test_mosaics_are_made_of_the_same_images(bccd: Path) -> None:
    def dataset() -> Any:
        images = str(bccd.parent / "images" / "train")
        names = {0: "RBC", 1: "WBC", 2: "Platelets"}
        data = {"names": names, "nc": 3, "channels": 3}
        return YOLODataset(img_path=images, imgsz=64, batch_size=1, augment=True, hyp=DEFAULT_CFG, data=data)

    used = dataset()
    for index in (3, 1, 4, 1, 5, 9, 2, 6, 8, 7, 0):
        used.load_image(index)
    buffers = mosaic_buffers(used)
    assert buffers == [used.buffer]
    assert 0 < len(used.buffer) < used.max_buffer_length  # the oldest are gone
    fresh = dataset()
    restore_mosaic_buffers(fresh, buffers)
    assert fresh.buffer == used.buffer
    cached = [[i for i, image in enumerate(each.ims) if image is not None] for each in (used, fresh)]
    assert cached[0] == cached[1] == sorted(used.buffer)
    assert all((fresh.ims[i] == used.ims[i]).all() for i in cached[0])

"""Where a training loader stands: which images come next, and from which the next mosaics are made."""

from __future__ import annotations

from typing import Any

import torch


class LoaderPosition:
    """Follows a train loader, so that another process can put a new loader in the very same place.

    The order comes from the loader's generator, which is drawn from when its iterator is made and whenever a new
    permutation is needed; when that is depends on the length of the last batch. Saving the generator's present state
    is therefore not enough. Kept are the state from which the present iterator was made and the number of batches
    taken since; drawing as many indices again, without loading an image, leads to the same place.

    With worker processes the loader runs ahead and each worker has random states of its own: then the position cannot
    be had again, and a resumed run gets an order of its own, which is no replay of an earlier epoch's.
    """

    def __init__(self) -> None:
        self._origin: torch.Tensor | None = None
        self._taken = 0

    def before_iterator(self, loader: Any) -> None:
        """Call before the loader makes a new iterator."""
        generator = getattr(loader, "generator", None)
        self._origin = None if generator is None else generator.get_state()
        self._taken = 0

    def batch_taken(self) -> None:
        """Call once for every batch."""
        self._taken += 1

    def state(self, loader: Any) -> dict[str, Any]:
        """Plain data and tensors for `restore`."""
        generator = getattr(loader, "generator", None)
        now = None if generator is None else generator.get_state()
        return {"origin": self._origin, "taken": self._taken, "now": now}

    def restore(self, loader: Any, state: dict[str, Any]) -> None:
        """Put a loader of the same dataset, batch and sampler in the saved place; it must not have been used yet."""
        self._origin, self._taken = state["origin"], state["taken"]
        if state["now"] is None:
            return
        if not _steps_in_process(loader):
            loader.generator.set_state(state["now"])
            return
        loader.generator.set_state(state["origin"])
        loader.iterator = loader._get_iterator()
        for _ in range(self._taken):
            loader.iterator._next_index()


def _steps_in_process(loader: Any) -> bool:
    """Whether this is Ultralytics' InfiniteDataLoader, which keeps one iterator for all epochs, without workers."""
    return hasattr(loader, "iterator") and loader.num_workers == 0


def mosaic_buffers(dataset: Any) -> list[list[int]]:
    """Indices of the recently loaded images, of which mosaics are made, for each part of a dataset."""
    return [[int(i) for i in getattr(part, "buffer", ())] for part in _parts(dataset)]


def restore_mosaic_buffers(dataset: Any, buffers: list[list[int]]) -> None:
    """Load those images again, in their order; the dataset must not have been used yet."""
    for part, buffer in zip(_parts(dataset), buffers, strict=True):
        for index in buffer:
            part.load_image(index)
        if buffer:
            part.buffer = list(buffer)


def _parts(dataset: Any) -> list[Any]:
    return list(getattr(dataset, "datasets", [dataset]))

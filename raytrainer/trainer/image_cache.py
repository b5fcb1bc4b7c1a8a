"""`cache: shared`: the images that Ultralytics would decode for every trial are decoded once on a node.

What is trained is to the bit what `cache: ram` trains: the same pixels, the same random numbers drawn.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import cv2
from ultralytics import __version__
from ultralytics.data.base import BaseDataset

from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.user_error import user_error

SHARED = "shared"
SAMPLE = 30
"""Images by which upstream judges whether all fit. Source: `BaseDataset.check_cache_ram` of 8.4.190."""
BOOT = Path("/proc/sys/kernel/random/boot_id")


class SharedImageCache(Customisation):
    """Runs on `build_dataset`, for training and validation."""

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Build as upstream does, then read the images from the node's file.

        Raises:
            UserError: if `cache: shared` cannot be had on this system or there is no room for the images.
        """
        dataset = super().build_dataset(img_path, mode, batch)
        if self.args.cache == SHARED:
            if sys.platform == "win32":
                raise user_error("train.cache", "shared needs file locks that Windows does not have; use ram or disk")
            share(dataset, self.args)
        return dataset


def share(dataset: Any, hyp: Any) -> None:
    """Let a dataset that caches nothing read its images from the node's file, as if it had cached them itself.

    Args:
        dataset: a `BaseDataset`, or a `ClassificationDataset`.
        hyp: the training arguments that it was built with.

    Raises:
        UserError: if there is no room for the images.
    """
    if isinstance(dataset, BaseDataset):
        _share_detection(dataset, hyp)
    else:
        _share_classification(dataset)


def _share_detection(dataset: Any, hyp: Any) -> None:
    from raytrainer.trainer.shared_images import shared_images

    # Drawn as upstream draws them, needed or not: the next random number must be the one that `ram` would have.
    sample = [random.randrange(dataset.ni) for _ in range(min(dataset.ni, SAMPLE))]
    dataset.cache = "ram"
    slots = _slots(dataset.im_files)
    key = _key(type(dataset), dataset.im_files, dataset.imgsz, dataset.channels)
    images = shared_images(key, slots, dataset.load_image, sample)
    dataset.ims, dataset.im_hw0, dataset.im_hw = images, images.originals, images.sizes
    dataset.transforms = dataset.build_transforms(hyp=copy(hyp))  # mosaics are made of any images now, as with `ram`


def _share_classification(dataset: Any) -> None:
    from raytrainer.trainer.shared_images import Loaded, shared_images

    files = [sample[0] for sample in dataset.samples]

    def load(i: int) -> Loaded:
        image = dataset.imread(files[i])
        return image, image.shape[:2], image.shape[:2]

    sample = range(0, len(files), max(1, len(files) // SAMPLE))
    dataset.img_cache = shared_images(_key(type(dataset), files, None, 3), _slots(files), load, sample)
    dataset.cache_ram = True


def _slots(files: Sequence[str]) -> list[int]:
    """Place of each image among all, sorted: a dataset may be in another order, by shape, and is the same for that."""
    place = {file: slot for slot, file in enumerate(sorted(set(files)))}
    return [place[file] for file in files]


def _key(kind: type, files: Sequence[str], imgsz: Any, channels: int) -> str:
    """A name for exactly these pixels until the machine boots: files as they are now, size, and what decodes them."""
    boot = BOOT.read_text() if BOOT.exists() else ""
    parts = [boot, __version__, cv2.__version__, f"{kind.__module__}.{kind.__qualname__}", repr(imgsz), str(channels)]
    for file in sorted(set(files)):
        status = os.stat(file)
        parts.append(f"{os.path.abspath(file)}:{status.st_size}:{status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

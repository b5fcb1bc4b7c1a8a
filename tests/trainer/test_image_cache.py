"""`cache: shared` trains to the bit what `cache: ram` trains, from one file of images on the node."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer import image_folders, shared_images
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import trainer_of

from .launcher import QUICK, launch
from .runs import differences, last_state, train_through
from .test_metrics import task_data


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's images lie."""
    monkeypatch.setenv(image_folders.VARIABLE, str(tmp_path / "images"))
    return tmp_path / "images"


def images_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.images"))


def loaders(model: Path | str, data: Path | str, save_dir: Path, **overrides: Any) -> tuple[Any, Any]:
    """The training and the validation dataset of a composed trainer."""
    arguments = QUICK | {"model": str(model), "data": str(data), "save_dir": str(save_dir), **overrides}
    trainer: Any = compose(trainer_of(str(model)))(overrides=arguments)
    trainer.model = trainer.get_model(cfg=str(model), verbose=False) if overrides.get("task") != "classify" else None
    paths = (trainer.data["train"], trainer.data["val"])
    return trainer.build_dataset(paths[0], "train", 4), trainer.build_dataset(paths[1], "val", 4)


def digest_of(images: Any, count: int) -> str:
    return hashlib.sha256(
        b"".join(repr(images[i].shape).encode() + images[i].tobytes() for i in range(count))
    ).hexdigest()


@pytest.mark.parametrize(
    ("model", "arguments", "stops"),
    [
        ("yolo-tiny", {"nbs": 12, "close_mosaic": 1, "mixup": 0.3}, [1]),
        ("yolo-tiny", {"rect": True, "mosaic": 0.0}, []),
        ("rtdetr-tiny", {"fraction": 0.7}, []),
    ],
    ids=["yolo-resumed", "rectangles", "rtdetr-part"],
)
def test_training_is_that_of_ram_to_the_bit(
    model: str, arguments: dict[str, Any], stops: list[int], trial: Any, yolo_tiny: Path, rtdetr_tiny: Path,
    tmp_path: Path, folder: Path,
) -> None:  # fmt: skip
    file = {"yolo-tiny": yolo_tiny, "rtdetr-tiny": rtdetr_tiny}[model]
    train_through(trial(file, Settings(), cache="ram", **arguments), tmp_path / "ram")
    train_through(trial(file, Settings(), cache="shared", **arguments), tmp_path / "shared", stops)
    assert len(images_in(folder)) == 2
    assert list(differences(last_state(tmp_path / "ram"), last_state(tmp_path / "shared"))) == []


def test_pixels_are_those_of_ram_and_lie_in_one_file_for_all(bccd: Path, yolo_tiny: Path, tmp_path: Path) -> None:
    ram = loaders(yolo_tiny, bccd, tmp_path / "ram", cache="ram")
    mine = loaders(yolo_tiny, bccd, tmp_path / "mine", cache="shared")
    other = loaders(yolo_tiny, bccd, tmp_path / "other", cache="shared")
    for kept, shared, again in zip(ram, mine, other, strict=True):
        assert digest_of(shared.ims, shared.ni) == digest_of(kept.ims, kept.ni) == digest_of(again.ims, again.ni)
        assert (shared.im_hw0, shared.im_hw) == (kept.im_hw0, kept.im_hw)
        assert shared.ims.path == again.ims.path
        mapped = Path("/proc/self/maps").read_text().count(str(shared.ims.path))
        assert mapped == 2


def test_a_classifier_reads_its_images_there_too(bccd: Path, tmp_path: Path, folder: Path) -> None:
    data = task_data("classify", bccd, tmp_path / "data")
    arguments = {"task": "classify"}
    ram, _ = loaders("yolo11n-cls.yaml", data, tmp_path / "ram", cache="ram", **arguments)
    shared, _ = loaders("yolo11n-cls.yaml", data, tmp_path / "shared", cache="shared", **arguments)
    assert digest_of(shared.img_cache, len(shared)) == digest_of(ram.img_cache, len(ram))
    assert shared[0]["img"].shape == ram[0]["img"].shape
    assert len(images_in(folder)) == 2


def test_a_write_into_an_image_is_seen_by_nobody_else(bccd: Path, yolo_tiny: Path, tmp_path: Path) -> None:
    mine, _ = loaders(yolo_tiny, bccd, tmp_path / "mine", cache="shared")
    before = digest_of(mine.ims, mine.ni)
    copy = pickle.loads(pickle.dumps(mine.ims))
    copy[0][:] = 0
    assert not copy[0].any()
    assert digest_of(mine.ims, mine.ni) == before


@pytest.mark.parametrize("change", ["image", "imgsz"])
def test_other_pixels_are_another_file(change: str, bccd: Path, yolo_tiny: Path, tmp_path: Path, folder: Path) -> None:
    data = shutil.copytree(bccd.parent, tmp_path / "data") / "data.yaml"
    first, _ = loaders(yolo_tiny, data, tmp_path / "first", cache="shared")
    image = Path(first.im_files[0])
    if change == "image":
        shutil.copy(first.im_files[1], image)
    second, _ = loaders(yolo_tiny, data, tmp_path / "second", cache="shared", imgsz=96 if change == "imgsz" else 64)
    assert first.ims.path != second.ims.path
    assert change == "imgsz" or np.array_equal(second.ims[0], second.ims[1])
    assert images_in(folder)


def test_two_ranks_read_one_file(yolo_tiny: Path, bccd: Path, tmp_path: Path, folder: Path) -> None:
    own = {"model": str(yolo_tiny), "data": str(bccd), "epochs": 1, "project": str(tmp_path)}
    jobs = {
        cache: {"settings": {}, "arguments": QUICK | own | {"cache": cache, "name": cache}}
        for cache in ("ram", "shared")
    }
    first, second = launch(tmp_path, jobs)
    for rank in (first, second):
        assert rank["shared"]["digests"] == rank["ram"]["digests"]
    assert not images_in(folder), "the last process out removes them"


def test_no_room_is_told_before_anything_is_written(
    bccd: Path, yolo_tiny: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folders, "room", lambda _: 1000)
    with pytest.raises(UserError) as error:
        loaders(yolo_tiny, bccd, tmp_path / "run", cache="shared")
    for fragment in ("train.cache", "shared", str(folder), image_folders.VARIABLE):
        assert fragment in str(error.value)
    assert [path.suffix for path in folder.iterdir()] == [".lock"]


def test_processes_that_come_at_once_wait_for_the_one_that_decodes(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 3, 7, 1), dtype=np.uint16)
    decoded: list[int] = []

    def load(i: int) -> shared_images.Loaded:
        decoded.append(i)
        return pixels[i], (30, 70), (3, 7)

    def read(_: int) -> shared_images.SharedImages:
        return shared_images.shared_images("key", [4, 3, 2, 1, 0], load, [0])

    folder.mkdir()
    (folder / "key.partial").write_bytes(b"what a killed process left")
    with ThreadPool(4) as pool:
        everyone = pool.map(read, range(4))
    assert sorted(decoded) == [0, 0, 1, 2, 3, 4]
    for images in everyone:
        assert all(np.array_equal(images[i], pixels[i]) for i in range(len(images)))
        assert (images.originals[0], images.sizes[0]) == ((30, 70), (3, 7))
    assert sorted(path.name for path in folder.iterdir()) == ["key.images", "key.lock"]


def test_what_nobody_holds_is_removed_in_the_end(bccd: Path, yolo_tiny: Path, tmp_path: Path, folder: Path) -> None:
    train, val = loaders(yolo_tiny, bccd, tmp_path / "run", cache="shared")
    held, idle = train.ims.path, val.ims.path
    val.ims.let_go()
    recent = shutil.copy(idle, folder / "recent.images")
    for path in (held, idle, *folder.glob("*.lock")):
        os.utime(path, (0, 0))
    shared_images.sweep()
    assert images_in(folder) == sorted([held, Path(recent)])
    assert not list(folder.glob("*.lock"))
    shared_images.let_go()
    assert images_in(folder) == [Path(recent)]
    assert train.ims[0].any(), "what is mapped stays readable"

"""What is read from Ultralytics' text is what Ultralytics has once it is imported; the rules hold in its code."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config import assets, labels, ultralytics_arguments, upstream
from raytrainer.config.dataset import read_dataset
from raytrainer.config.reserved import NOT_FIXED, NOT_SEARCHED, searched
from raytrainer.config.settings import Settings
from raytrainer.config.ultralytics_arguments import arguments
from raytrainer.config.values import convert, fits

ultralytics = pytest.importorskip("ultralytics")


def test_names_and_defaults() -> None:
    from ultralytics.utils import DEFAULT_CFG_DICT

    assert ultralytics_arguments.defaults() == DEFAULT_CFG_DICT
    assert list(arguments()) == list(DEFAULT_CFG_DICT)
    assert upstream.installed_version() == ultralytics.__version__


def test_every_default_fits_its_own_schema() -> None:
    assert [name for name, argument in arguments().items() if not fits(argument.schema, argument.default)] == []


VALUES: list[Any] = [0, 1, 0.5, 1.5, -1, 640, "text", True, None, [1, 2], "auto"]


@pytest.mark.parametrize("name", [name for name in arguments() if name not in NOT_FIXED])
def test_what_is_allowed_is_what_upstream_takes(name: str) -> None:
    from ultralytics.cfg import check_cfg

    for value in VALUES:
        if fits(arguments()[name].schema, value):
            check_cfg({name: convert(arguments()[name].schema, value)})  # raises if upstream does not take it


def test_numbers_that_upstream_takes_for_what_is_searched_are_allowed_or_nonsense() -> None:
    from ultralytics.cfg import CFG_BOOL_KEYS, CFG_FRACTION_KEYS, CFG_INT_KEYS

    for name in searched().keys() & arguments().keys():
        schema = arguments()[name].schema
        if name in CFG_FRACTION_KEYS:
            assert fits(schema, 0.0) or name == "fraction"
            assert fits(schema, 1.0)
            assert not fits(schema, 1.01)
        if name in CFG_INT_KEYS:
            assert fits(schema, 5)
            assert not fits(schema, 0.5)
        if name in CFG_BOOL_KEYS:
            assert fits(schema, True)
            assert not fits(schema, 1)


def test_optimizers_are_those_of_build_optimizer() -> None:
    from ultralytics.engine.trainer import BaseTrainer

    source = ast.parse(textwrap.dedent(inspect.getsource(BaseTrainer.build_optimizer)))
    known = next(
        ast.literal_eval(node.value)
        for node in ast.walk(source)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "optimizers"
    )
    assert set(ultralytics_arguments.OPTIMIZERS) == known


def test_checkpoints_that_are_downloaded() -> None:
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    assert assets.downloadable() == GITHUB_ASSETS_NAMES


@pytest.mark.parametrize(
    "name", ["yolov5n.pt", "yolov5x6.pt", "yolov3-tiny.pt", "yolov5nu.pt", "yolo11n.pt", "v/yolov5s.pt"]
)
def test_old_checkpoints_are_renamed_alike(name: str) -> None:
    from ultralytics.utils.checks import check_yolov5u_filename

    assert assets.renamed(name) == check_yolov5u_filename(name, verbose=False)


@pytest.mark.parametrize("name", ["yolo11n.yaml", "yolov8x-seg.yaml", "yolov5n6.yaml", "rtdetr-l.yaml", "yolov9c.yaml"])
def test_model_yamls_are_found_alike(name: str) -> None:
    from ultralytics.nn.tasks import yaml_model_load
    from ultralytics.utils import YAML

    found = assets.model_yaml(name)
    assert found is not None
    loaded = yaml_model_load(name)
    assert YAML.load(found)["head"] == loaded["head"]


def test_images_and_labels_are_found_alike(bccd: Path) -> None:
    from ultralytics.data.utils import IMG_FORMATS, check_det_dataset, img2label_paths

    assert labels.IMAGES == IMG_FORMATS
    dataset = read_dataset(str(bccd))
    stock = check_det_dataset(str(bccd), autodownload=False)
    assert dataset.names == stock["names"]
    assert {image.parent for image in dataset.train} == {Path(stock["train"])}
    assert [str(labels.label_file(image)) for image in dataset.train] == img2label_paths(dataset.train)


def test_settings_are_read_from_the_same_file() -> None:
    from ultralytics.utils import DATASETS_DIR, SETTINGS

    assert upstream.settings() == dict(SETTINGS)
    assert upstream.datasets_folder() == DATASETS_DIR


class Dataset:
    """What `v8_transforms` asks of a dataset."""

    cache = "ram"
    data: dict[str, Any] = {}

    def __len__(self) -> int:
        return 4


def test_augmentations_of_rtdetr_are_those_of_yolo() -> None:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.models.rtdetr.val import RTDETRDataset

    assert RTDETRDataset.build_transforms is YOLODataset.build_transforms


def test_closing_mosaic_switches_all_four_off() -> None:
    """`close_mosaic` at or above `epochs` leaves no epoch with any of them."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.dataset import YOLODataset

    dataset = YOLODataset.__new__(YOLODataset)
    dataset.build_transforms = lambda hyp: hyp
    hyp = get_cfg(overrides={"mosaic": 1.0, "mixup": 0.5, "cutmix": 0.5, "copy_paste": 0.5})
    dataset.close_mosaic(hyp)
    assert (hyp.mosaic, hyp.mixup, hyp.cutmix, hyp.copy_paste) == (0, 0, 0, 0)


def test_mixup_needs_no_mosaic() -> None:
    from ultralytics.cfg import get_cfg
    from ultralytics.data.augment import MixUp, v8_transforms

    transforms = v8_transforms(Dataset(), 64, get_cfg(overrides={"mosaic": 0.0, "mixup": 0.5})).transforms
    assert [transform.p for transform in transforms if isinstance(transform, MixUp)] == [0.5]


def test_the_loss_of_rtdetr_reads_no_gain() -> None:
    from ultralytics.models.utils import loss

    source = inspect.getsource(loss)
    assert "hyp" not in source
    assert ".args" not in source


@pytest.mark.parametrize("optimizer", ["Adam", "Adamax", "AdamW", "NAdam", "RAdam", "SGD", "RMSprop"])
def test_only_some_optimizers_have_a_momentum_to_warm_up(optimizer: str) -> None:
    import torch

    from raytrainer.config.rules import ADAM_FAMILY

    made = getattr(torch.optim, optimizer)([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    assert ("momentum" in made.param_groups[0]) is (optimizer not in ADAM_FAMILY)


def test_reserved_names_exist() -> None:
    known = arguments().keys() | {"save_dir"}
    assert NOT_FIXED.keys() <= known
    assert NOT_SEARCHED.keys() <= known | Settings.model_fields.keys()

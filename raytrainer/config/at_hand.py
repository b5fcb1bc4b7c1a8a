"""Whether all that a training reads lies on this machine already."""

from __future__ import annotations

from pathlib import Path

from raytrainer.config.assets import URL, downloaded, model_yaml, with_suffix
from raytrainer.config.dataset import read_dataset
from raytrainer.config.model_file import model_facts
from raytrainer.config.space import Space


def at_hand(space: Space) -> bool:
    """Whether the model, its pretrained weights and the dataset are here, so that nothing has to be downloaded.

    Raises:
        UserError: if the dataset is not usable; `check` says so before.
    """
    return _model(space.model) and _weights(space.train.get("pretrained")) and _dataset(space)


def _model(model: str) -> bool:
    if URL.match(model):
        return False
    if Path(model).suffix in (".yaml", ".yml"):
        return model_yaml(model) is not None
    return downloaded(with_suffix(model)) is not None


def _weights(pretrained: object) -> bool:
    return not isinstance(pretrained, str) or _model(pretrained)


def _dataset(space: Space) -> bool:
    if URL.match(space.data):
        return False
    return read_dataset(space.data, classify=model_facts(space.model).task == "classify").present

"""All that determines how a training run goes on after an epoch, read from a trainer and given to another one.

Everything is kept in full precision. What follows from the settings and the number of epochs done is not kept: the
learning rates, what is frozen, the class weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import distributed
from ultralytics.utils.torch_utils import unwrap_model

from raytrainer.trainer.data_order import mosaic_buffers, restore_mosaic_buffers
from raytrainer.trainer.random_states import random_states, restore_random_states
from raytrainer.trainer.ranks import is_main, launched

PLAIN = (str, int, float, bool, type(None))


def plain(value: Any) -> Any:
    """Arguments as plain data: numbers and texts as they are, tuples as lists, anything else as its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, PurePath) or type(value) not in PLAIN:
        return str(value)
    return value


def shared_state(trainer: Any) -> dict[str, Any]:
    """What is the same on all ranks: weights, their average, optimizer, pending gradients, criterion, stopper."""
    model = unwrap_model(trainer.model)
    return {
        "model": model.state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "ema_updates": trainer.ema.updates,
        "optimizer": _without_numpy(trainer.optimizer.state_dict()),
        "parameters": parameter_names(model, trainer.optimizer),
        "scaler": trainer.scaler.state_dict(),
        "gradients": _pending_gradients(trainer.optimizer),
        "criterion": _numbers(model.criterion) if _moves(getattr(model, "criterion", None)) else None,
        "stopper": _numbers(trainer.stopper),
        "best_fitness": None if trainer.best_fitness is None else float(trainer.best_fitness),
    }


def restore_shared_state(trainer: Any, state: Mapping[str, Any]) -> None:
    """Give a trainer that is set up, and has not trained yet, what `shared_state` returned. Gradients come later."""
    model = unwrap_model(trainer.model)
    model.load_state_dict(state["model"])
    trainer.ema.ema.load_state_dict(state["ema"])
    trainer.ema.updates = state["ema_updates"]
    for saved, group in zip(state["optimizer"]["param_groups"], trainer.optimizer.param_groups, strict=True):
        saved |= {"fused": group["fused"]} if "fused" in group else {}  # this run's device decides on the kernel
    trainer.optimizer.load_state_dict(state["optimizer"])
    if state["scaler"]:
        trainer.scaler.load_state_dict(state["scaler"])
    trainer.best_fitness = state["best_fitness"]
    trainer.stopper.__dict__.update(state["stopper"])


def restore_criterion(trainer: Any, state: Mapping[str, Any]) -> None:
    """Let a criterion whose gains change with the epochs, that of an end-to-end head, go on where it stood."""
    model = unwrap_model(trainer.model)
    if state["criterion"] is not None:
        model.criterion = getattr(model, "criterion", None) or model.init_criterion()
        model.criterion.__dict__.update(state["criterion"])


def restore_gradients(trainer: Any, state: Mapping[str, Any]) -> None:
    """Put back gradients that wait for more batches, since an epoch may end in the middle of an accumulation."""
    if state["gradients"] is not None:
        for parameter, gradient in zip(_parameters(trainer.optimizer), state["gradients"], strict=True):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)


def rank_states(trainer: Any, loader: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What differs from rank to rank: random states, place in the data, statistics of BatchNorm.

    Args:
        loader: this rank's `LoaderPosition.state`.

    Returns:
        One entry a rank, in their order, on rank 0; nothing of use on the others, which must call this too.
    """
    mine = {
        "random": random_states(trainer.device),
        "loader": loader,
        "mosaic": mosaic_buffers(trainer.train_loader.dataset),
        "buffers": None,
    }
    if not launched():
        return [mine]
    if not is_main():  # rank 0's are in the model's state
        mine["buffers"] = {name: buffer.cpu() for name, buffer in unwrap_model(trainer.model).named_buffers()}
    everyone: list[Any] = [None] * distributed.get_world_size()
    distributed.gather_object(mine, everyone if is_main() else None, dst=0)
    return everyone


def restore_buffers(trainer: Any, state: Mapping[str, Any]) -> None:
    """Give this rank the statistics of BatchNorm that it had; rank 0's came with the model."""
    if state["buffers"] is not None:
        own = dict(unwrap_model(trainer.model).named_buffers())
        for name, buffer in state["buffers"].items():
            own[name].copy_(buffer)


def restore_chances(trainer: Any, state: Mapping[str, Any]) -> None:
    """Give this rank the images of which its next mosaics are made, and its random states; nothing may draw after."""
    restore_mosaic_buffers(trainer.train_loader.dataset, state["mosaic"])
    restore_random_states(state["random"], trainer.device)


def _moves(criterion: Any) -> bool:
    """The training loop's own test for a criterion that it moves on once an epoch."""
    return hasattr(criterion, "update")


def _numbers(subject: Any) -> dict[str, int | float | bool]:
    numbers = {name: value for name, value in vars(subject).items() if isinstance(value, int | float)}
    return {name: value if isinstance(value, int) else float(value) for name, value in numbers.items()}


def _without_numpy(state: dict[str, Any]) -> dict[str, Any]:
    """NumPy's numbers, which a callback may have set a rate to, are code to whoever reads plain data only."""
    groups = [
        {key: value.item() if isinstance(value, np.generic) else value for key, value in group.items()}
        for group in state["param_groups"]
    ]
    return {**state, "param_groups": groups}


def parameter_names(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """Names of what an optimizer trains, in the order in which its state numbers them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in _parameters(optimizer)]


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _pending_gradients(optimizer: torch.optim.Optimizer) -> list[torch.Tensor | None] | None:
    gradients = [parameter.grad for parameter in _parameters(optimizer)]
    return gradients if any(gradient is not None for gradient in gradients) else None

"""The optimizer's state as stock training has it in last.pt, whose groups are not split by section.

Stock training refuses a checkpoint with other groups than it builds itself, and so could not resume a composed run;
nor could a composed trainer resume a stock one, or recover from its own last.pt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer
from ultralytics.utils.torch_utils import unwrap_model

from raytrainer.trainer.run_state import parameter_names

MARKS = ("name", "follows", "lr_scale")
"""What `raytrainer.trainer.param_groups.split_groups` adds to a group."""
RATES = ("lr", "initial_lr")


class StockView:
    """Shows an optimizer whose groups were split as one with the stock groups, for whoever saves its state."""

    def __init__(self, optimizer: Optimizer, model: nn.Module) -> None:
        self._optimizer, self._model = optimizer, model

    def state_dict(self) -> dict[str, Any]:
        """As `torch.optim.Optimizer.state_dict`; the tensors are the optimizer's own."""
        own = self._optimizer.state_dict()
        layout = _stock_layout(self._optimizer, self._model)
        place = _places(own["param_groups"], (group["params"] for group in self._optimizer.param_groups))
        order = [place[id(p)] for parameters in layout for p in parameters]
        groups, taken = [], 0
        for index, parameters in enumerate(layout):
            group = {key: value for key, value in own["param_groups"][index].items() if key not in MARKS}
            groups.append({**group, "params": list(range(taken, taken + len(parameters)))})
            taken += len(parameters)
        return {"state": _renumbered(own["state"], order), "param_groups": groups}


def from_stock(
    state: Mapping[str, Any], optimizer: Optimizer, model: nn.Module, *, values: bool = True
) -> dict[str, Any]:
    """A state with the stock groups as the split optimizer wants it; each section's rates keep their share.

    Args:
        state: `state_dict` of a stock optimizer, or one that `StockView` gave.
        optimizer: with groups split by `split_groups`, of the same model.
        values: whether what a group says, such as rates and decays, is the state's; else it stays the optimizer's.
    """
    layout = _stock_layout(optimizer, model)
    place = _places(state["param_groups"], layout)
    order: list[int] = []
    groups = []
    for own in optimizer.param_groups:
        said = _scaled(state["param_groups"][own["follows"]], own) if values else own
        groups.append({**said, "params": list(range(len(order), len(order) + len(own["params"])))})
        order += [place[id(parameter)] for parameter in own["params"]]
    return {"state": _renumbered(state["state"], order), "param_groups": groups}


def _scaled(group: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a stock group says, as a part of it with a rate of its own says it."""
    rates = {key: group[key] * own["lr_scale"] for key in RATES if key in group}
    return {**group, **rates, **{key: own[key] for key in MARKS}}


def regrouped(trainer: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """A run's state for an optimizer with rates of its own, whose groups may be split elsewhere.

    Moments and pending gradients are those of the state, found by the parameters' names; all that a group says, such as
    rates and decays, is the optimizer's.
    """
    place = {name: number for number, name in enumerate(state["parameters"])}
    order = [place[name] for name in parameter_names(unwrap_model(trainer.model), trainer.optimizer)]
    own, gradients = trainer.optimizer.state_dict(), state["gradients"]
    return {
        **state,
        "optimizer": {"state": _renumbered(state["optimizer"]["state"], order), "param_groups": own["param_groups"]},
        "gradients": None if gradients is None else [gradients[number] for number in order],
    }


def _stock_layout(optimizer: Optimizer, model: nn.Module) -> list[list[nn.Parameter]]:
    """Parameters of the stock groups in stock order, that of the model's modules (`BaseTrainer.build_optimizer`)."""
    found = (p for module in model.modules() for p in module.parameters(recurse=False))
    order = {id(parameter): index for index, parameter in enumerate(found)}
    layout: dict[int, list[nn.Parameter]] = {}
    for group in optimizer.param_groups:
        layout.setdefault(group["follows"], []).extend(group["params"])
    return [sorted(layout[index], key=lambda parameter: order[id(parameter)]) for index in sorted(layout)]


def _places(groups: Sequence[Mapping[str, Any]], parameters: Iterable[Sequence[nn.Parameter]]) -> dict[int, int]:
    """Number of each parameter, by its id, in a state with these groups."""
    return {
        id(parameter): number
        for group, members in zip(groups, parameters, strict=True)
        for number, parameter in zip(group["params"], members, strict=True)
    }


def _renumbered(state: Mapping[int, Any], order: Sequence[int]) -> dict[int, Any]:
    """Entries of the parameters with the numbers `order`, numbered anew; those that never trained have none."""
    return {new: state[old] for new, old in enumerate(order) if old in state}

"""Layer-wise learning rates: the stock optimizer groups, split by what part of the model a parameter belongs to.

Every stock group is split into sections: the head, the backbone, and one for each layer below the head. How many
groups there are depends on the model and its optimizer alone, never on a setting; a section to which no setting gives a
rate of its own stays empty. So a run resumes whatever is frozen, and stock training, which finds its groups by their
`param_group` tags, treats them as its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn
from torch.optim import Optimizer
from ultralytics.utils import LOGGER, colorstr

from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.families import core_of, family_of
from raytrainer.trainer.user_error import user_error


@dataclass(frozen=True)
class Section:
    """A part of the model whose parameters share a learning rate."""

    name: str
    scale: float
    """Learning rate as a share of the head's."""
    layers: Sequence[nn.Module] = ()
    """Layers below the head; the first section has what no other section has."""


def sections(layers: Sequence[nn.Module], backbone: int, ratio: float, decay: float) -> list[Section]:
    """The sections of a model: the head, the backbone as a whole, and a slot for each layer below the head.

    With `decay` every layer learns at that share of the rate of the layer above it, the head, whose own layers are one,
    at its full rate (BEiT, https://arxiv.org/abs/2106.08254). A neck decays with the rest: where a
    checkpoint brings it trained, as YOLO's and RT-DETR's do, only the head is new. Layers without parameters, such as
    those that resize or join, count for nothing. The backbone's rates are multiplied by `ratio` besides.

    A layer that learns at the head's rate stays with it: MuSGD orthogonalises the matrices of a group together, so that
    a split alone changes its last bits.

    Args:
        layers: of the model, the first one first, the head last.
        backbone: how many of them are the backbone.
        ratio: learning rate of the backbone as a share of the head's.
        decay: 0 to 1; 1 is off.
    """
    below = [index for index, layer in enumerate(layers[:-1]) if any(True for _ in layer.parameters())]
    slots = [Section("backbone", ratio, layers[:backbone] if decay == 1 else ())] if backbone else []
    for depth, index in enumerate(reversed(below), 1):
        scale = decay**depth * (ratio if index < backbone else 1.0)
        slots.append(Section(f"layer.{index}", scale, () if decay == 1 else [layers[index]]))
    apart = [slot if slot.scale != 1 else replace(slot, layers=()) for slot in slots]
    return [Section("head" if any(slot.layers for slot in apart) else "model", 1.0), *apart]


def split_groups(optimizer: Optimizer, parts: Sequence[Section]) -> None:
    """Split every group of a stock optimizer, in place, into one group a section, the first of which is the rest.

    The first groups are the stock ones, reduced to the rest. Each group gets a `name` such as `backbone/weight`, and
    `follows`: the index of the stock group whose learning rate it follows by the factor `lr_scale`.
    """
    owner = {id(p): part.name for part in parts for layer in part.layers for p in layer.parameters()}
    rest, stock = parts[0], list(optimizer.param_groups)
    kinds, members = _kinds(stock), [list(group["params"]) for group in stock]
    for part in parts:
        for index, (group, kind) in enumerate(zip(stock, kinds, strict=True)):
            chosen = [p for p in members[index] if owner.get(id(p), rest.name) == part.name]
            mark = {"name": f"{part.name}/{kind}", "follows": index, "lr_scale": part.scale, "params": chosen}
            if part is rest:
                group.update(mark)
            else:
                optimizer.add_param_group({**group, **mark, "lr": group["lr"] * part.scale})


def _kinds(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Weight, bn, bias or muon; MuSGD has each twice, first with a higher learning rate for the classifying layers."""
    lowest = min(float(group["lr"]) for group in groups)
    return [f"{group['param_group']}{'-boosted' if group['lr'] > lowest else ''}" for group in groups]


def check_coverage(model: nn.Module, optimizer: Optimizer) -> None:
    """Every parameter of the model must be in exactly one group.

    Raises:
        RuntimeError: naming the parameters that are in none, which would never train, or in more than one.
    """
    seen = Counter(id(p) for group in optimizer.param_groups for p in group["params"])
    wrong = [f"{name} is in {seen[id(p)] or 'no'} groups" for name, p in model.named_parameters() if seen[id(p)] != 1]
    if wrong:
        raise RuntimeError(f"the optimizer's parameter groups do not cover the model: {', '.join(wrong)}")


def tie_rates(optimizer: Optimizer) -> None:
    """Set the rate of every group to its share of the head's group that it follows.

    Stock warm-up starts groups tagged `bias` at `warmup_bias_lr` and all others at 0, whatever their target: without
    this a backbone's biases would begin at a thousand times their rate.
    """
    groups = optimizer.param_groups
    for group in groups:
        if group["lr_scale"] != 1:
            group["lr"] = groups[group["follows"]]["lr"] * group["lr_scale"]


def step_only_what_has_parameters(optimizer: Optimizer) -> None:
    """Let every step tie the rates and pass the empty groups over, which cost as much as groups of a few tensors."""
    every: list[dict[str, Any]] = []

    def hide(stepping: Optimizer, *_: Any) -> None:
        tie_rates(stepping)
        every[:] = stepping.param_groups
        stepping.param_groups = [group for group in every if group["params"]]

    def show(stepping: Optimizer, *_: Any) -> None:
        stepping.param_groups = list(every)

    optimizer.register_step_pre_hook(hide)
    optimizer.register_step_post_hook(show)


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """Learning rate of every group that has parameters, by the group's name."""
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups if group["params"]}


def describe(optimizer: Optimizer) -> str:
    """A line for each group that has parameters: its name, tensors, parameters, learning rate and weight decay."""
    return "\n".join(
        f"  {group['name']}: {len(group['params'])} tensors, {sum(p.numel() for p in group['params']):,} parameters, "
        f"lr {group['lr']:.3g} ({group['lr_scale']:.3g} of the head's), decay {group['weight_decay']:.3g}"
        for group in optimizer.param_groups
        if group["params"]
    )


class ParameterGroups(Customisation):
    """Applies `backbone_lr_ratio` and `layer_decay` to whatever optimizer stock training builds."""

    events: ClassVar[Mapping[str, str]] = {"on_train_batch_end": "_tie_rates", "on_train_epoch_end": "_name_rates"}

    def build_optimizer(self, model: nn.Module, *args: Any, **kwargs: Any) -> Optimizer:
        """The stock optimizer with its groups split.

        Raises:
            UserError: if a rate is asked for a backbone, or for layers, that the model does not have.
            RuntimeError: if a parameter is in no group or in two.
        """
        optimizer: Optimizer = super().build_optimizer(model, *args, **kwargs)
        ratio, decay = self.settings.backbone_lr_ratio, self.settings.layer_decay
        core = core_of(model)
        backbone, layers = len(family_of(core).backbone(core)), list(core.get_submodule("model").children())
        if not backbone and ratio != 1:
            raise user_error("backbone_lr_ratio", "the model's YAML has no backbone to give a learning rate of its own")
        split_groups(optimizer, sections(layers, backbone, ratio, decay))
        check_coverage(model, optimizer)
        step_only_what_has_parameters(optimizer)
        LOGGER.info(f"{colorstr('optimizer:')} parameter groups\n{describe(optimizer)}")
        return optimizer

    def _tie_rates(self) -> None:
        """Whoever reads the rates after a batch without a step, of accumulated gradients, sees the true ones too."""
        tie_rates(self.optimizer)

    def _name_rates(self) -> None:
        """Log a rate of its own for every group that has one; the stock names stay with the head's."""
        groups = self.optimizer.param_groups
        apart = {f"lr/{group['name']}": group["lr"] for group in groups if group["params"] and group["lr_scale"] != 1}
        self.lr = {f"lr/pg{i}": group["lr"] for i, group in enumerate(groups) if group["follows"] == i} | apart

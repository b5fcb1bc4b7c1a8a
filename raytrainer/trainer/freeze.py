"""Freezing part of the model, and training it again from some epoch on, at once or layer by layer from the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from ultralytics.utils import LOGGER

from raytrainer.config.problems import suggest
from raytrainer.config.settings import Settings
from raytrainer.trainer.contract import Customisation
from raytrainer.trainer.families import check_trainer, core_of, family_of
from raytrainer.trainer.replicas import wrap_again
from raytrainer.trainer.user_error import user_error

Freeze = int | str | Sequence[int | str] | None
"""As `Settings.freeze` and Ultralytics' `freeze` have it."""
ALWAYS_FROZEN = (".dfl", "teacher_model.")
"""Parts of parameter names: a fixed integral over bins, and the teacher of a distilled model."""


def frozen_modules(model: nn.Module, freeze: Freeze, backbone: int) -> list[str]:
    """What a `freeze` setting freezes at first.

    Args:
        model: unwrapped Ultralytics model, its layers in `model.model`.
        freeze: the first n layers, `backbone`, or a list of layer indices and names of modules, such as `22.cv3` or
            `model.22.cv3`.
        backbone: number of layers of the backbone.

    Returns:
        Names of modules with parameters inside the sequence of layers, such as `0` or `22.cv3`, the lowest layer first.

    Raises:
        UserError: if a layer or module does not exist.
    """
    entries = list(range(freeze)) if isinstance(freeze, int) else [freeze] if isinstance(freeze, str) else freeze or []
    names: list[str] = []
    for entry in entries:
        names += [str(i) for i in range(backbone)] if entry == "backbone" else [str(entry).removeprefix("model.")]
    modules = dict(model.get_submodule("model").named_modules())
    for name in names:
        if name not in modules:
            raise user_error("freeze", f"the model has no layer or module '{name}'{suggest(name, modules)}")
    return sorted({name for name in names if any(True for _ in modules[name].parameters())}, key=_layer)


def _layer(name: str) -> int:
    """Index of the layer that a module belongs to."""
    return int(name.partition(".")[0])


def still_frozen(frozen: Sequence[str], epoch: int, settings: Settings) -> list[str]:
    """What is frozen in an epoch, whichever epoch the run began or resumed at.

    Args:
        frozen: modules frozen at first, as `frozen_modules` gives them.
        epoch: counted from 0.
        settings: with `unfreeze_every` the topmost layer trains from `unfreeze_epoch` on, and one more every so many
            epochs; without it all of them do.
    """
    first, every = settings.unfreeze_epoch, settings.unfreeze_every
    if first is None or epoch < first:
        return list(frozen)
    layers = sorted({_layer(name) for name in frozen})
    kept = layers[: max(len(layers) - 1 - (epoch - first) // every, 0)] if every else []
    return [name for name in frozen if _layer(name) in kept]


def set_trainable(model: nn.Module, frozen: Sequence[str]) -> int:
    """Let every parameter train but those whose name contains one of `frozen`, as stock training freezes them.

    These lose their gradients, which would otherwise stay and count in the norm.

    Returns:
        The number of parameters that changed.
    """
    changed = 0
    for name, parameter in model.named_parameters():
        trains = not any(part in name for part in frozen)
        if not trains:
            parameter.grad = None
        if parameter.requires_grad != trains and parameter.dtype.is_floating_point:
            parameter.requires_grad = trains
            changed += 1
    return changed


class FreezeLayers(Customisation):
    """Freezes what `freeze` names, and lets it train again as `unfreeze_epoch` and `unfreeze_every` say.

    Stock training does the freezing, from its own `freeze` argument, which is set here. That keeps what it always
    freezes (`.dfl`, a teacher) frozen, and every parameter stays in an optimizer group.
    """

    events: ClassVar[Mapping[str, str]] = {"on_train_epoch_start": "_unfreeze"}
    frozen: Sequence[str] = ()
    """What is frozen at first; what is frozen now follows from the epoch alone."""

    def setup_model(self) -> Any:
        """Build the stock model, then find the modules to freeze in it.

        Raises:
            UserError: if one does not exist, the `freeze` of Ultralytics asks for others, or none is frozen and
                `unfreeze_epoch` is set.
        """
        checkpoint = super().setup_model()
        core = core_of(self.model)
        check_trainer(self, core)
        asked = [
            frozen_modules(core, freeze, len(family_of(core).backbone(core)))
            for freeze in (self.settings.freeze, self.args.freeze)
            if freeze is not None
        ]
        if any(other != asked[0] for other in asked) and not self.resume:
            raise user_error("freeze", f"the trainer's setting freezes {asked[0]}, Ultralytics' argument {asked[1]}")
        self.frozen = asked[0] if asked else []
        if self.settings.unfreeze_epoch is not None and not self.frozen:
            raise user_error("unfreeze_epoch", "has no effect: nothing is frozen; set freeze")
        if self.settings.freeze is not None:
            self.args.freeze = list(self.frozen)
        return checkpoint

    def _unfreeze(self) -> None:
        """Freeze what the epoch wants frozen, whatever was before: a run that resumes comes here with all of it."""
        if self.settings.unfreeze_epoch is None:
            return
        frozen = still_frozen(self.frozen, self.epoch, self.settings)
        self.freeze_layer_names = [*(f"model.{name}." for name in frozen), *ALWAYS_FROZEN]
        if changed := set_trainable(self.model, self.freeze_layer_names):
            LOGGER.info(f"{changed} parameters train from epoch {self.epoch + 1} on, frozen are {frozen or 'none'}")
            wrap_again(self)

    def _model_train(self) -> None:
        """Training mode, but for frozen batch normalisation: stock training overlooks its synchronised kind."""
        super()._model_train()
        for name, module in self.model.named_modules():
            if isinstance(module, _BatchNorm) and any(part in f"{name}." for part in self.freeze_layer_names):
                module.eval()

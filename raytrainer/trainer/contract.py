"""What every customisation of the composed trainer is: a mixin that overrides its own few Ultralytics methods.

The methods that customisations override are disjoint, so their order does not matter. What they share is named here.
Importing this module imports Ultralytics, which reads `RANK`, `LOCAL_RANK` and `WORLD_SIZE` from the environment only
then: a rank sets its environment first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.callbacks import add_integration_callbacks

from raytrainer.config.settings import Settings
from raytrainer.trainer import ranks

if TYPE_CHECKING:
    from collections.abc import Callable

RAY_CALLBACK_MODULE = "ultralytics.utils.callbacks.raytune"


@dataclass(frozen=True)
class Event:
    """A callback that calls one method of the trainer; equal ones are registered once, and it can be pickled."""

    method: str

    def __call__(self, trainer: Any) -> None:
        getattr(trainer, self.method)()


class _StandInForTrainer:
    """Takes the callbacks of Ultralytics' integrations, so that they are imported before a trainer is seeded.

    Upstream imports them afterwards, and `ray.tune` draws random numbers when it is first imported: the same seed would
    give another training in a process that has imported it before.
    """

    def __init__(self) -> None:
        self.callbacks: dict[str, list[Any]] = defaultdict(list)


class Customisation(BaseTrainer):  # type: ignore[misc]
    """Base of the mixins that `compose` puts in front of an Ultralytics trainer.

    `settings` belongs to the composed class, because Ultralytics refuses training arguments that it does not know.
    A mixin names the events of the training loop that it wants in `events`, event to method name. The loop, in short::

        super().__init__            # device, save_dir, dataset
        setup_model                 # the model exists
        set_model_attributes        # it is on its device, not yet wrapped in DDP
        build_optimizer, set_class_weights, resume_training, on_pretrain_routine_end
        for epoch: on_train_epoch_start, _model_train
            for batch: forward, backward, optimizer_step
            on_train_epoch_end, validate, save_metrics, save_model, on_model_save, on_fit_epoch_end
        final_eval, on_train_end
    """

    settings: ClassVar[Settings] = Settings()
    events: ClassVar[Mapping[str, str]] = {}
    model: Any
    freeze_layer_names: list[str]

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, list[Callable[[Any], None]]] | None = None,
    ) -> None:
        """Build the stock trainer, as one of several ranks where `torch.distributed` says so.

        Raises:
            UserError: if the process's ranks contradict each other, or `save_dir` is not shared by all ranks.
        """
        add_integration_callbacks(_StandInForTrainer())
        overrides = ranks.arguments_of_this_rank(cfg, dict(overrides or {}))
        super().__init__(cfg, overrides, _callbacks)
        ranks.adopt(self)
        self._register_events()
        self._drop_ray_callback()

    def _register_events(self) -> None:
        """In front of the user's and the loggers' callbacks, which then see what the customisations did."""
        for owner in reversed(type(self).__mro__):
            for event, method in owner.__dict__.get("events", {}).items():
                if Event(method) not in self.callbacks[event]:
                    self.callbacks[event].insert(0, Event(method))

    def _drop_ray_callback(self) -> None:
        """Ultralytics' own Ray callback reports the final evaluation as one more epoch; the records do it right."""
        for event, callbacks in self.callbacks.items():
            self.callbacks[event] = [c for c in callbacks if getattr(c, "__module__", "") != RAY_CALLBACK_MODULE]

"""One file a model family; nothing else in the package asks which family a model is of."""

from raytrainer.trainer.families.choose import check_trainer, core_of, family_of, trainer_of
from raytrainer.trainer.families.family import Family

__all__ = ["Family", "check_trainer", "core_of", "family_of", "trainer_of"]

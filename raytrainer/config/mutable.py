"""What may change while a model trains: one table, each row checked against the source of Ultralytics that it names.

A change must leave the model, the state of its optimizer and the order of the images as they are, and the trainer must
read the value anew where it is resumed, as all of these are. What sets up a run, such as batch, imgsz, optimizer or
freeze, and what counts from its first epoch, such as a warm-up or close_mosaic, does not belong here.
"""

from __future__ import annotations

from raytrainer.config.document import by_class

RATES = "lr0 lrf momentum weight_decay backbone_lr_ratio layer_decay"
"""engine/trainer.py, build_optimizer and _setup_scheduler; raytrainer.trainer.param_groups."""
GAINS = "box cls dfl pose kobj rle angle"
"""utils/loss.py: read from the model's arguments for every batch."""
COLOURS = "hsv_h hsv_s hsv_v bgr"
"""data/augment.py, RandomHSV and Format: made by data/dataset.py, build_transforms, with the rows below."""
GEOMETRY = "degrees translate scale shear perspective flipud fliplr erasing"
MIXING = "mosaic mixup cutmix copy_paste"
CLASS_WEIGHTS = "class_weights class_weights_power class_weight_offsets normalize_class_weights positives_only cls_pw"
"""Set where the criterion is (raytrainer.trainer.class_weights), which is made anew."""
CLIPPING = "clip_grad_norm clip_grad_value"

MUTABLE: frozenset[str] = frozenset(
    " ".join((RATES, GAINS, COLOURS, GEOMETRY, MIXING, CLASS_WEIGHTS, CLIPPING)).split()
)
"""Training arguments and settings of the composed trainer."""


def is_mutable(name: str) -> bool:
    """Whether the values of a parameter, such as `lr0` or `class_weights.Platelets`, may change."""
    return (by_class(name) or (name,))[0] in MUTABLE

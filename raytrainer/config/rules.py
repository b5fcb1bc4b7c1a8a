"""When a parameter has no effect: one table, each row checked against the source of Ultralytics that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raytrainer.config.facts import Facts

ADAM_FAMILY = ("Adam", "Adamax", "AdamW", "NAdam", "RAdam")
MIXING = ("mosaic", "mixup", "cutmix", "copy_paste")
BOXES = ("detect", "segment", "pose", "obb")

WARMUP = "warmup_momentum warmup_bias_lr"
GEOMETRY = "degrees translate shear perspective bgr"
COLOURS = "hsv_h hsv_s hsv_v"
GAINS = "box cls dfl"
WEIGHTS = "class_weights class_weights_power class_weight_offsets normalize_class_weights positives_only"


@dataclass(frozen=True, slots=True)
class Rule:
    """`names` have no effect `when` something is certain."""

    names: str
    when: Callable[[Facts], bool]
    why: str
    even_fixed: bool = False
    """Whether a fixed value of a setting is a mistake too."""


RULES: tuple[Rule, ...] = (
    # engine/trainer.py, build_optimizer: `auto` sets name, lr, momentum and warmup_bias_lr itself.
    Rule("lr0 momentum warmup_bias_lr", lambda f: f.is_("optimizer", "auto"),
         "optimizer: auto chooses it by itself; name an optimizer, such as AdamW"),
    # engine/trainer.py, _do_train: `if "momentum" in x`; torch's Adam family has betas in its place.
    Rule("warmup_momentum", lambda f: f.is_("optimizer", *ADAM_FAMILY),
         "an optimizer of the Adam family has no momentum to warm up"),
    # engine/trainer.py, _get_warmup_iterations: min(warmup_epochs, epochs - 1).
    Rule(WARMUP, lambda f: f.off("warmup_epochs"), "there is no warm-up with warmup_epochs: 0"),
    Rule(f"{WARMUP} warmup_epochs", lambda f: f.is_("epochs", 1), "there is no warm-up in a training of one epoch"),
    # engine/trainer.py, _setup_scheduler: both schedules begin at 1, and stay there if lrf is 1.
    Rule("lrf cos_lr", lambda f: f.is_("epochs", 1),
         "the learning rate of the first epoch is lr0, and there is no other"),
    Rule("cos_lr", lambda f: f.is_("lrf", 1), "with lrf: 1 the learning rate does not change"),
    # nn/distill_model.py
    Rule("dis", lambda f: f.off("distill_model"), "there is no distill_model to learn from"),

    # models/utils/loss.py, DETRLoss has gains of its own; nn/tasks.py, RTDETRDetectionModel.init_criterion.
    Rule(GAINS, lambda f: f.model.family == "rtdetr", "RT-DETR's loss has fixed gains and does not read it"),
    Rule("cls_pw", lambda f: f.model.family == "rtdetr",
         "RT-DETR's loss ignores it; class_weights: inverse_frequency with class_weights_power does what it says"),
    # models/rtdetr/train.py, build_dataset: rect=False.
    Rule("rect", lambda f: f.model.family == "rtdetr", "RT-DETR never trains on rectangles"),

    # utils/loss.py: which task's loss reads which gain.
    Rule("pose kobj rle", lambda f: f.task("detect", "segment", "obb", "classify"), "only the task pose reads it"),
    Rule("rle", lambda f: f.task("pose") and f.model.head not in (None, "Pose26"),
         "only YOLO26's pose head has that loss"),
    Rule("angle", lambda f: f.task("detect", "segment", "pose", "classify"), "only the task obb reads it"),
    Rule("dlog dgrad dlam", lambda f: f.task(*BOXES, "classify"), "only the task depth reads it"),
    Rule(f"{GAINS} cls_pw", lambda f: f.task("classify"), "a classifier's loss has no gains and no class weights"),
    Rule(WEIGHTS, lambda f: f.task("classify"), "a classifier's loss has no class weights"),
    # data/augment.py, Format.apply_instances with return_mask; data/dataset.py, YOLODataset.build_transforms.
    Rule("overlap_mask mask_ratio", lambda f: f.task("detect", "pose", "obb", "classify"),
         "only the task segment has masks"),
    # models/yolo/classify/train.py, get_model; data/dataset.py, ClassificationDataset.
    Rule("dropout auto_augment erasing", lambda f: f.task(*BOXES), "only the task classify reads it"),
    Rule(f"{' '.join(MIXING)} copy_paste_mode close_mosaic {GEOMETRY} rect multi_scale", lambda f: f.task("classify"),
         "the task classify has augmentations of its own and does not read it"),
    # data/augment.py, classify_augmentations: a policy disables the colour jitter.
    Rule(COLOURS, lambda f: f.task("classify") and f.on("auto_augment"),
         "auto_augment replaces it; set train.auto_augment to null"),

    # data/dataset.py, close_mosaic: sets all four to 0; engine/trainer.py, _do_train: from epochs - close_mosaic on.
    Rule("close_mosaic", lambda f: f.off(*MIXING), "mosaic, mixup, cutmix and copy_paste are all 0"),
    Rule("close_mosaic", lambda f: f.is_("rect", True) and f.model.family == "yolo" and f.off("copy_paste"),
         "rect: true switches mosaic, mixup and cutmix off"),
    Rule(f"{' '.join(MIXING)} copy_paste_mode",
         lambda f: f.on("close_mosaic") and f.at_least("close_mosaic", "epochs"),
         "close_mosaic switches it off for the last epochs, and they are all there are; lower train.close_mosaic"),
    # data/dataset.py, YOLODataset.build_transforms: `if self.augment and not self.rect`.
    Rule("mosaic mixup cutmix", lambda f: f.is_("rect", True) and f.model.family == "yolo",
         "rect: true switches it off"),
    # data/augment.py, CopyPaste.__call__: nothing without segments, or with p 0.
    Rule("copy_paste_mode", lambda f: f.off("copy_paste"), "copy_paste is 0"),
    Rule("copy_paste copy_paste_mode", lambda f: f.task("pose"), "labels of keypoints have no outlines to copy"),
    Rule("copy_paste copy_paste_mode",
         lambda f: f.dataset is not None and f.dataset.present and f.task(*BOXES) and not f.dataset.polygons,
         "the labels are boxes, without outlines to copy"),
    # data/augment.py, RandomHSV.apply_image and Format._format_img: only with three channels.
    Rule(f"{COLOURS} bgr", lambda f: f.option("channels", 3) not in (None, 3), "the images do not have three channels"),
    # data/augment.py, v8_transforms: a flip of keypoints needs flip_idx.
    Rule("fliplr flipud", lambda f: f.task("pose") and f.dataset is not None and not f.option("flip_idx", []),
         "keypoints are flipped only if the data.yaml has flip_idx"),

    # The composed trainer's settings; raytrainer.config.settings says what each does.
    Rule("backbone_lr_ratio", lambda f: f.backbone_frozen,
         "the whole backbone is frozen for good; freeze less, or set unfreeze_epoch"),
    Rule("checkpoint_every", lambda _: True, "no result depends on when checkpoints are written; set it under trainer"),
    Rule("unfreeze_epoch unfreeze_every", lambda f: f.off("freeze"), "nothing is frozen; set freeze", True),
    Rule("class_weights_power class_weight_offsets",
         lambda f: "class_weights" in f.values and not f.is_("class_weights", "inverse_frequency"),
         "it belongs to class_weights: inverse_frequency, which is not set", True),
    Rule("positives_only normalize_class_weights", lambda f: f.off("class_weights"),
         "there are no class_weights", True),
    Rule("cls_pw", lambda f: f.on("class_weights"), "class_weights stand in its place; give one of the two", True),
    Rule(f"{WEIGHTS} cls_pw", lambda f: f.one_class and f.is_("normalize_class_weights", True),
         "there is only one class"),
    Rule("class_weights_power cls_pw", lambda f: f.classes_alike and f.is_("normalize_class_weights", True),
         "every class in the training labels is there equally often"),
    Rule("sync_bn", lambda f: f.ranks == 1, "a trial has one rank (resources.ranks), and so nothing to synchronise"),
)  # fmt: skip

# No row for nbs: it acts through the steps that are accumulated or, at a batch above it, through the weight decay
# (engine/trainer.py, _build_train_pipeline). None for momentum under Adam: it is beta1 (build_optimizer).

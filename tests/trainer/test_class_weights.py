"""Class weights: what each class gets, and that the loss of every family takes exactly that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.yolo.world import WorldTrainer

from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer.class_weights import class_weights
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import core_of, trainer_of

QuickArgs = Callable[..., dict[str, Any]]
NAMES = {0: "RBC", 1: "WBC", 2: "Platelets"}


@pytest.mark.parametrize(
    ("fields", "counts", "expected"),
    [
        ({"class_weights": {"WBC": 3.0}, "normalize_class_weights": False}, [80, 10, 10], [1, 3, 1]),
        ({"class_weights": [1.0, 2.0, 4.0], "normalize_class_weights": False}, [80, 10, 10], [1, 2, 4]),
        ({"class_weights": [2.0, 2.0, 2.0]}, [80, 10, 10], [1, 1, 1]),
        ({"class_weights": {"WBC": 3.0}}, [80, 10, 10], [1 / 1.2, 3 / 1.2, 1 / 1.2]),
        ({"class_weights": "inverse_frequency"}, [80, 10, 10], [5 / 12, 10 / 3, 10 / 3]),
        ({"class_weights": "inverse_frequency", "class_weights_power": 0.0}, [80, 10, 10], [1, 1, 1]),
        ({"class_weights": "inverse_frequency", "class_weights_power": 0.5, "normalize_class_weights": False},
         [4, 16, 1], [0.5, 0.25, 1]),
        ({"class_weights": "inverse_frequency", "normalize_class_weights": False}, [4, 0, 2], [0.25, 0.375, 0.5]),
        ({"class_weights": "inverse_frequency", "normalize_class_weights": False,
          "class_weight_offsets": {"Platelets": np.log(3), "RBC": -np.log(2)}}, [4, 2, 2], [0.125, 0.5, 1.5]),
        ({"class_weights": "inverse_frequency"}, [0, 0, 0], [1, 1, 1]),
        ({"class_weights": [1.0, 2.0, 4.0]}, [0, 0, 0], [1, 2, 4]),
    ],
)  # fmt: skip
def test_the_weight_of_each_class(fields: dict[str, Any], counts: list[int], expected: list[float]) -> None:
    settings = Settings(**fields)
    weights = class_weights(settings, NAMES, np.array(counts, dtype=float))
    assert weights == pytest.approx(expected)
    if settings.normalize_class_weights and sum(counts):
        assert np.dot(weights, counts) / sum(counts) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"Platelet": 2.0}, "no class 'Platelet', did you mean 'Platelets'"),
        ([1.0, 2.0], "2 weights for the 3 classes of the data: RBC, WBC, Platelets"),
        ("inverse_frequency", "class_weight_offsets: the data have no class 'Platelet', did you mean 'Platelets'"),
    ],
)
def test_weights_that_do_not_fit_the_data(asked: Any, message: str) -> None:
    offsets = {"Platelet": 1.0} if asked == "inverse_frequency" else {}
    with pytest.raises(UserError, match=message):
        class_weights(Settings(class_weights=asked, class_weight_offsets=offsets), NAMES, np.ones(3))


class Loss:
    """The loss of one real batch, part by part, at the start of a run."""

    def __init__(self, arguments: dict[str, Any], empty: bool = False, **settings: Any) -> None:
        self.trainer = compose(trainer_of(arguments["model"]), **settings)(overrides=arguments)
        self.trainer._setup_train()
        self.trainer._model_train()
        batch = self.trainer.preprocess_batch(next(iter(self.trainer.train_loader)))
        if empty:
            batch |= {"cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4), "batch_idx": torch.zeros(0)}
        self.core = core_of(self.trainer.model)
        parts: dict[str, torch.Tensor] = {}
        if trainer_of(arguments["model"]) is RTDETRTrainer:
            self.core.criterion = getattr(self.core, "criterion", None) or self.core.init_criterion()
            self.core.criterion.register_forward_hook(lambda _module, _inputs, losses: parts.update(losses))
        torch.manual_seed(0)  # denoising queries are random
        total, self.items = self.trainer.model(batch)
        names = list(self.items)
        self.parts = parts or {name: total[index] for index, name in enumerate(names)}


def is_class_term(name: str) -> bool:
    return "class" in name or name == "cls_loss"


MODELS = [
    ("yolov8n.yaml", "detect"),
    ("yolo11n.yaml", "detect"),
    ("yolo26n.yaml", "detect"),
    ("yolov10n.yaml", "detect"),
    ("yolo11n-seg.yaml", "segment"),
    ("yolo26n-seg.yaml", "segment"),
    ("yolo26n-pose.yaml", "pose"),
    ("yolov8n-pose.yaml", "pose"),
    ("yolo26n-obb.yaml", "obb"),
    ("yolo11n-obb.yaml", "obb"),
    ("rtdetr-tiny", "detect"),
]


@pytest.fixture
def loss_of(quick_args: QuickArgs, rtdetr_tiny: Path, bccd_for: Callable[[str], Path]) -> Callable[..., Loss]:
    def build(model: str, task: str, **options: Any) -> Loss:
        model = str(rtdetr_tiny) if model == "rtdetr-tiny" else model
        return Loss(quick_args(model, data=str(bccd_for(task)), task=task), **options)

    return build


@pytest.mark.parametrize(("model", "task"), MODELS)
def test_ones_are_the_stock_loss_and_twos_double_its_class_terms(
    model: str, task: str, loss_of: Callable[..., Loss]
) -> None:
    stock = loss_of(model, task).parts
    assert any(is_class_term(name) for name in stock)
    if model == "rtdetr-tiny":
        terms = {"loss_class", "loss_class_aux", "loss_class_dn", "loss_class_aux_dn"}
        assert {name for name in stock if is_class_term(name)} == terms
    for positives_only in (False, True):
        weighted = partial(loss_of, model, task, positives_only=positives_only, normalize_class_weights=False)
        ones, twos = (weighted(class_weights=[weight] * 3).parts for weight in (1.0, 2.0))
        for name, value in stock.items():
            assert torch.equal(ones[name], value), name
            if not is_class_term(name):
                assert torch.equal(twos[name], value), name
            elif positives_only:
                assert value < twos[name] < 2 * value, name
            else:
                assert torch.equal(twos[name], 2 * value), name


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
@pytest.mark.parametrize("positives_only", [False, True])
def test_a_batch_without_boxes_takes_the_focal_loss(
    weights: list[float], positives_only: bool, loss_of: Callable[..., Loss]
) -> None:
    stock = loss_of("rtdetr-tiny", "detect", empty=True)
    settings = {"class_weights": weights, "positives_only": positives_only, "normalize_class_weights": False}
    weighted = loss_of("rtdetr-tiny", "detect", empty=True, **settings)
    factor = 1 if positives_only else weights[0]
    assert stock.parts["loss_class"] > 0
    assert torch.equal(weighted.parts["loss_class"], factor * stock.parts["loss_class"])


@pytest.mark.parametrize("model", ["yolov8n.yaml", "rtdetr-tiny"])
def test_only_the_weighted_class_counts_more(model: str, loss_of: Callable[..., Loss]) -> None:
    weighted = partial(loss_of, model, "detect", normalize_class_weights=False)
    term = "loss_class" if model == "rtdetr-tiny" else "cls_loss"
    stock = loss_of(model, "detect").parts[term]
    extra = [weighted(class_weights={name: 2.0}).parts[term] - stock for name in NAMES.values()]
    assert all(value > 0 for value in extra)
    assert float(sum(extra)) == pytest.approx(float(stock), rel=1e-4)


def test_positive_weights_are_those_of_torch(loss_of: Callable[..., Loss]) -> None:
    loss = loss_of("yolo26n.yaml", "detect", class_weights=[1.0, 2.0, 3.0], positives_only=True)
    weights = class_weights(loss.trainer.settings, NAMES, loss.trainer.get_class_counts().astype(float))
    scores, targets = torch.randn(2, 5, 3), torch.rand(2, 5, 3)
    expected = binary_cross_entropy_with_logits(
        scores, targets, reduction="none", pos_weight=torch.tensor(weights, dtype=torch.float32)
    )
    for head in (loss.core.criterion.one2many, loss.core.criterion.one2one):
        assert torch.equal(head.bce(scores, targets), expected)


def test_weights_come_back_into_a_criterion_that_a_resume_made_anew(loss_of: Callable[..., Loss]) -> None:
    loss = loss_of("yolo26n.yaml", "detect", class_weights={"WBC": 2.0}, positives_only=True)
    loss.core.criterion = loss.core.init_criterion()
    loss.core.criterion.updates = 7
    loss.trainer.set_class_weights()
    assert loss.core.criterion.updates == 7
    assert loss.core.criterion.one2one.bce.pos_weight is not None


@pytest.mark.parametrize(
    ("arguments", "settings", "expected"),
    [
        ({"single_cls": True}, {"class_weights": "inverse_frequency"}, [1.0]),
        ({"classes": [1, 2]}, {"class_weights": "inverse_frequency", "normalize_class_weights": False}, None),
    ],
)
def test_weights_follow_the_labels_that_are_trained_on(
    arguments: dict[str, Any], settings: dict[str, Any], expected: list[float] | None, quick_args: QuickArgs
) -> None:
    trainer = compose(**settings)(overrides=quick_args("yolov8n.yaml", **arguments))
    trainer._setup_train()
    counts = trainer.get_class_counts()
    weights = core_of(trainer.model).class_weights.tolist()
    if expected is None:  # no red blood cell is trained on: it gets the mean of the others, and nothing is infinite
        assert counts[0] == 0
        expected = [float(np.mean(1 / counts[1:])), *(1 / counts[1:]).tolist()]
    assert weights == pytest.approx(expected)


def test_a_class_that_single_cls_took_away_is_an_error(quick_args: QuickArgs) -> None:
    with pytest.raises(UserError, match=r"no class 'WBC'.*item"):
        compose(class_weights={"WBC": 2.0})(overrides=quick_args("yolov8n.yaml", single_cls=True)).train()


def test_two_kinds_of_class_weights_are_an_error(quick_args: QuickArgs) -> None:
    with pytest.raises(UserError, match="sets class weights too"):
        compose(class_weights={"WBC": 2.0})(overrides=quick_args("yolov8n.yaml", cls_pw=0.5)).train()


def test_the_weights_of_ultralytics_still_work(quick_args: QuickArgs) -> None:
    trainer = compose()(overrides=quick_args("yolov8n.yaml", cls_pw=0.5))
    trainer._setup_train()
    assert core_of(trainer.model).class_weights.mean() == pytest.approx(1.0)


def test_open_vocabulary_training_has_no_class_weights() -> None:
    trainer_class = compose(WorldTrainer, class_weights={"WBC": 2.0})
    trainer = trainer_class.__new__(trainer_class)
    trainer.args = type("Arguments", (), {"task": "detect", "cls_pw": 0.0})()
    with pytest.raises(UserError, match="has no class weights"):
        trainer.set_class_weights()

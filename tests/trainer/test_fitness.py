"""The settings' fitness decides best.pt, patience and what is reported, whatever its sign; NaN decides nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.utils.torch_utils import EarlyStopping

from raytrainer.config.fitness import parse_fitness
from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.trainer.compose import compose
from raytrainer.trainer.families import trainer_of
from raytrainer.trainer.fitness import NonFinite, Patience, better, unusable
from raytrainer.trainer.records import EpochRecord
from raytrainer.trainer.run import train

from .runs import differences

NAN, INF = math.nan, math.inf
Scripted = Callable[[Sequence[float]], str]


@pytest.mark.parametrize(
    ("fitnesses", "patience", "stops_after"),
    [
        ([0.0, 0.0, 0.0], 2, 3),
        ([-3, -2, -2, -4], 2, 4),
        ([-1, -2, -3, -4], 2, 3),
        ([0.1, 0.2, 0.1, 0.3, 0.2, 0.3], 2, 6),
        ([NAN, NAN, NAN], 2, 2),
        ([NAN, -1, NAN, NAN], 2, 4),
        ([0.5, None, None, None], 2, None),
        ([0.5, 0.4, 0.3], 0, None),
    ],
)
def test_patience_counts_every_epoch_without_improvement(
    fitnesses: list[float | None], patience: int, stops_after: int | None
) -> None:
    stopper = Patience(patience)
    stops = [epoch for epoch, fitness in enumerate(fitnesses, 1) if stopper(epoch, fitness)]
    assert (stops[0] if stops else None) == stops_after


def test_stock_patience_never_counts_zero() -> None:
    """Why there is one of our own."""
    stopper = EarlyStopping(2)
    assert not any(stopper(epoch, 0.0) for epoch in range(1, 20))


@pytest.mark.parametrize(
    ("best", "fitness", "expected"),
    [(None, -2.0, -2.0), (-2.0, -3.0, -2.0), (-2.0, 0.0, 0.0), (0.0, -0.1, 0.0), (0.1, NAN, 0.1), (None, NAN, None),
     (0.1, INF, 0.1), (0.1, -INF, 0.1)],
)  # fmt: skip
def test_the_best_is_finite(best: float | None, fitness: float, expected: float | None) -> None:
    assert better(best, fitness) == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mAP50 + AP[cat]", []),
        ("mean(F1) - recall[cat]", []),
        ("mAP50(M)", ["no metric 'mAP50(M)', did you mean 'mAP50'?"]),
        ("AP[cow]", ["no metric 'AP[cow]', did you mean"]),
        ("min(F1(P))", ["no 'F1(P)' by class"]),
        ("AP[dog]", ["class 'dog' is never defined"]),
    ],
)
def test_a_fitness_that_cannot_be_computed_is_known_before_training(text: str, found: list[str]) -> None:
    names = ["mAP50", "F1", *(f"{metric}[{label}]" for metric in ("AP", "F1", "recall") for label in ("cat", "dog"))]
    wrong = unusable(parse_fitness(text), names, {"cat": 3, "dog": 0})
    assert len(wrong) == len(found)
    assert all(part in message for part, message in zip(found, wrong, strict=True))


@pytest.mark.parametrize(
    ("values", "best_epochs"),
    [
        ([-3.0, -1.0, -2.0, -1.5], [1, 2, 2, 2]),
        ([0.0, 0.0, -1.0, 0.0], [1, 2, 2, 4]),  # of equal epochs the last, as upstream has it
        ([NAN, -5.0, NAN, -6.0], [0, 2, 2, 2]),
        ([1e-9, 2e-9, INF, 1e-9], [1, 2, 2, 2]),
    ],
)
def test_best_pt_is_the_best_epoch(
    values: list[float], best_epochs: list[int], scripted: Scripted, trial: Any, tmp_path: Path
) -> None:
    weights: dict[int, Any] = {}

    def on_epoch(record: EpochRecord) -> None:
        weights[record.epoch] = torch.load(tmp_path / "run/weights/last.pt", weights_only=False)["ema"].state_dict()

    config = trial(settings=Settings(fitness=scripted(values)), epochs=len(values))
    result = train(config, tmp_path / "run", threads=1, on_epoch=on_epoch, final_eval=False)
    assert [record.best_epoch for record in result.records] == best_epochs
    assert [record.fitness for record in result.records] == pytest.approx(values, abs=0, nan_ok=True)
    assert (result.best_epoch, result.best_fitness) == (best_epochs[-1], values[best_epochs[-1] - 1])
    best = torch.load(result.best, weights_only=False)["ema"].state_dict()
    assert not list(differences(best, weights[result.best_epoch]))
    assert list(differences(best, weights[result.best_epoch - 1] if result.best_epoch > 1 else weights[2]))


def test_early_stopping_follows_the_fitness(scripted: Scripted, trial: Any, tmp_path: Path) -> None:
    settings = Settings(fitness=scripted([0, -1, -1, 5, 5]))  # the stock stopper would not have counted the first
    result = train(trial(settings=settings, epochs=5, patience=2), tmp_path / "run", threads=1, final_eval=False)
    assert [record.epoch for record in result.records] == [1, 2, 3]
    assert result.best_epoch == 1


def test_no_finite_fitness_is_no_result(scripted: Scripted, trial: Any, tmp_path: Path) -> None:
    with pytest.raises(NonFinite, match="fitness of epoch 2 is not finite"):
        train(trial(settings=Settings(fitness=scripted([NAN, NAN])), epochs=2), tmp_path / "run", final_eval=False)


def test_without_an_expression_the_fitness_is_the_stock_one(rtdetr_tiny: Path, trial: Any, tmp_path: Path) -> None:
    config = trial(rtdetr_tiny, epochs=2)
    records = train(config, tmp_path / "run", threads=1, final_eval=False).records
    stock = trainer_of(rtdetr_tiny)(overrides=config.train | {"model": config.model, "save_dir": str(tmp_path / "s")})
    fitnesses: list[float] = []
    stock.add_callback("on_fit_epoch_end", lambda trainer: fitnesses.append(trainer.fitness))
    torch.set_num_threads(1)
    stock.train()
    assert [record.fitness for record in records] == fitnesses[:2]  # the third is that of the final evaluation
    assert any(fitnesses)


@pytest.mark.parametrize("on_nan", ["fail", "recover"])
def test_a_loss_that_diverges(on_nan: Any, yolo_tiny: Path, quick_args: Any) -> None:
    """Fails in the very epoch if asked to; upstream would go on from last.pt."""
    trainer = compose(on_nan=on_nan)(overrides=quick_args(yolo_tiny, epochs=4))
    seen: list[int] = []

    def poison(trainer: Any) -> None:
        if trainer.epoch == 2 and seen.count(2) == 1:
            next(trainer.model.parameters()).data.fill_(NAN)

    trainer.add_callback("on_train_epoch_start", lambda trainer: seen.append(trainer.epoch))
    trainer.add_callback("on_train_batch_start", poison)
    if on_nan == "fail":
        with pytest.raises(NonFinite) as error:
            trainer.train()
        assert (error.value.epoch, error.value.what, seen) == (3, "loss", [0, 1, 2])
    else:
        trainer.train()
        assert seen == [0, 1, 2, 2, 3]
        assert [record.epoch for record in trainer.records] == [1, 2, 3, 4]


@pytest.mark.parametrize(("on_nan", "in_study"), [("fail", False), ("fail", True), ("recover", True)])
def test_a_fitness_that_is_nan_fails_if_asked_to_and_in_a_study(
    on_nan: Any, in_study: bool, scripted: Scripted, trial: Any, tmp_path: Path
) -> None:
    """The epoch is not kept, so that a fitness that has been mended judges it anew."""
    config = trial(settings=Settings(fitness=scripted([1, NAN]), on_nan=on_nan), epochs=3)
    shared = tmp_path / "measured" if in_study else None
    with pytest.raises(NonFinite) as error:
        train(config, tmp_path / "run", final_eval=False, measured=shared)
    assert (error.value.epoch, error.value.what) == (2, "fitness")
    scripted([2, 3])
    done = train(config, tmp_path / "run", final_eval=False, measured=shared)
    assert [record.fitness for record in done.records] == [1, 2, 3]


def test_a_class_without_validation_labels_is_an_error_before_training(trial: Any, bccd: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.yaml"
    data.write_text(f"path: {bccd.parent}\n" + bccd.read_text().replace("2: Platelets", "2: Platelets, 3: Mast cell"))
    with pytest.raises(UserError, match="class 'Mast cell' is never defined") as error:
        train(trial(settings=Settings(fitness="AP50[Mast cell]"), data=str(data)), tmp_path / "run")
    assert error.value.problems[0].key == "fitness"
    assert not (tmp_path / "run/results.csv").exists()


def test_epochs_that_are_not_validated_have_no_fitness(trial: Any, tmp_path: Path) -> None:
    settings = Settings(fitness="mAP50 - 1")
    result = train(trial(settings=settings, val=False), tmp_path / "run", threads=1, final_eval=False)
    assert [record.epoch for record in result.records] == [3]  # upstream validates the last one
    lines = (tmp_path / "run/results.csv").read_text().splitlines()
    assert {len(line.split(",")) for line in lines} == {len(lines[0].split(","))}
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3"]
    column = lines[0].split(",").index("class/AP(B)/RBC")
    assert [line.split(",")[column] for line in lines[1:3]] == ["nan", "nan"]
    assert lines[3].split(",")[column] != "nan"

"""The checks that every row of the conformance table goes through. Each knows what was asked for, and computes the rest
without the package where that is possible."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrainer.config.constraints import total
from raytrainer.config.fitness import parse_fitness

from .conformance_run import layer_of
from .fitness_by_epoch import EPOCH
from .one_rank import digest

NAMES = ("RBC", "WBC", "Platelets")
STOCK_NORM = 10.0
"""`BaseTrainer.optimizer_step` of ultralytics 8.4.190."""
STOCK_FITNESS = "mAP50-95"
"""`Metric.fitness` of ultralytics 8.4.190, rounded to five digits."""


@dataclass(frozen=True)
class Outcome:
    """What is known of a row that has been trained."""

    settings: Mapping[str, Any]
    epochs: int
    interrupted_after: int | None
    seen: Sequence[Mapping[str, Any]]
    """Of each rank, what `conformance_run.train_row` returned."""
    folder: Path
    labels: Path
    """Folder of the training labels."""
    loaded: Callable[[Path], Any]
    """What stock Ultralytics says of a checkpoint."""

    @property
    def last(self) -> Path:
        """Folder of the run that came to the end: the resumed one, if there is one."""
        return self.folder / ("resumed" if self.interrupted_after else "whole")

    def parts(self, rank: int = 0) -> list[tuple[Mapping[str, Any], int, int]]:
        """What was seen of the parts of the run that led to its end, each with its first and last epoch."""
        seen, stop = self.seen[rank], self.interrupted_after
        if not stop:
            return [(seen["whole"], 1, self.epochs)]
        return [(seen["whole"], 1, stop), (seen["resumed"], stop + 1, self.epochs)]

    def epochs_of(self, rank: int = 0) -> list[Mapping[str, Any]]:
        """What was seen at the end of every epoch."""
        return [e for seen, first, last in self.parts(rank) for e in seen["epochs"] if first <= e["epoch"] <= last]

    def steps(self) -> Iterator[Mapping[str, Any]]:
        """Every optimizer step of rank 0, those of the uninterrupted run too."""
        for run in ("whole", "resumed"):
            yield from self.seen[0].get(run, {"steps": []})["steps"]

    @property
    def records(self) -> list[Mapping[str, Any]]:
        return list(self.parts()[-1][0]["records"])


Check = Callable[[Outcome], None]


def trains(outcome: Outcome) -> None:
    """Losses are finite and the head moves in every epoch, on as many ranks as were asked for."""
    epochs = outcome.epochs_of()
    assert [epoch["epoch"] for epoch in epochs] == list(range(1, outcome.epochs + 1))
    assert all(math.isfinite(loss) for epoch in epochs for loss in epoch["losses"].values())
    heads = [list(epoch["layers"].values())[-1][0] for epoch in epochs]
    assert len(set(heads)) == outcome.epochs
    assert {seen["whole"]["world_size"] for seen in outcome.seen} <= {0, 1, len(outcome.seen)}
    assert len(outcome.seen) == 1 or outcome.seen[1]["whole"]["world_size"] == 2


def every_parameter_is_grouped_once(outcome: Outcome) -> None:
    """In every epoch, frozen or not."""
    for rank in range(len(outcome.seen)):
        for epoch in outcome.epochs_of(rank):
            assert epoch["grouped"]
            assert {name: count for name, count in epoch["grouped"].items() if count != 1} == {}


def rates_keep_their_ratio(outcome: Outcome) -> None:
    """At every step of warm-up, plateau and decay every layer learns at its share of the head's rate."""
    depth = outcome.seen[0]["whole"]["backbone"]
    layers = sorted(map(int, outcome.seen[0]["whole"]["layers"]), reverse=True)
    ratio, decay = outcome.settings.get("backbone_lr_ratio", 1), outcome.settings.get("layer_decay", 1)
    share = {layer: decay**below * (ratio if layer < depth else 1) for below, layer in enumerate(layers)}
    head_rates = []
    for step in outcome.steps():
        head: dict[str, float] = {}
        for layer, kind, rate in sorted(step["rates"], reverse=True):  # the head's come first
            assert rate == pytest.approx(head.setdefault(kind, rate / share[layer]) * share[layer], rel=1e-9)
        head_rates.append(head["weight"] if "weight" in head else head["muon"])
    assert min(head_rates) < max(head_rates)


def gradients_are_bounded(outcome: Outcome) -> None:
    """What a step takes is within both bounds, what is frozen has no gradient, and the records say what was done."""
    norm = outcome.settings.get("clip_grad_norm", STOCK_NORM) or math.inf
    value = outcome.settings.get("clip_grad_value", 0) or math.inf
    for step in outcome.steps():
        assert 0 < step["norm"] <= norm * (1 + 1e-4)
        assert step["largest"] <= value * (1 + 1e-6)
        assert step["stale"] == []
    for record in outcome.records:
        assert 0 < record["grad_norm"] <= record["grad_norm_max"]
        if math.isinf(value):
            assert (record["clipped_share"] > 0) == (record["grad_norm_max"] > norm)
    if math.isfinite(min(norm / STOCK_NORM, value)):
        assert any(record["clipped_share"] > 0 for record in outcome.records)


def what_is_frozen_stands_still(outcome: Outcome) -> None:
    """Parameters and BatchNorm statistics of frozen layers stay as they are, those of all others move."""
    for seen, _, _ in outcome.parts():
        before = seen["layers"]
        for epoch in seen["epochs"]:
            frozen = frozen_layers(outcome, epoch["epoch"] - 1)
            fixed = [name for name in epoch["grouped"] if layer_of(name) in frozen or ".dfl" in name]
            assert epoch["fixed"] == sorted(fixed)
            for layer, (parameters, buffers) in epoch["layers"].items():
                stands = [parameters == before[layer][0], buffers == before[layer][1]]
                assert all(stands) if int(layer) in frozen else not stands[0], (epoch["epoch"], layer)
            before = epoch["layers"]


def frozen_layers(outcome: Outcome, epoch: int) -> set[int]:
    """Layers that are to be frozen in an epoch, counted from 0."""
    freeze, first = outcome.settings.get("freeze", 0), outcome.settings.get("unfreeze_epoch", 0)
    layers = outcome.seen[0]["whole"]["backbone"] if freeze == "backbone" else freeze
    every = outcome.settings.get("unfreeze_every")
    thawed = 0 if epoch < first else 1 + (epoch - first) // every if every else layers
    return set(range(layers - thawed))


def classes_have_their_weights(outcome: Outcome) -> None:
    """Every loss of every epoch on every rank has the weights that the training labels ask for."""
    asked, positives = outcome.settings.get("class_weights"), outcome.settings.get("positives_only", False)
    counts = Counter(NAMES[int(line.split()[0])] for f in outcome.labels.glob("*.txt") for line in f.open())
    expected: Any = None
    if asked == "inverse_frequency":
        power, offsets = outcome.settings["class_weights_power"], outcome.settings["class_weight_offsets"]
        raw = [counts[name] ** -power * math.exp(offsets.get(name, 0)) for name in NAMES]
        mean = sum(weight * counts[name] for weight, name in zip(raw, NAMES, strict=True)) / counts.total()
        expected = pytest.approx([weight / mean for weight in raw], rel=1e-6)
    elif asked:
        expected = [asked.get(name, 1.0) for name in NAMES]
    for rank in range(len(outcome.seen)):
        for epoch in outcome.epochs_of(rank):
            assert epoch["class_weights"]
            assert all(loss == [expected, positives] for loss in epoch["class_weights"])


def best_is_best_by_the_fitness(outcome: Outcome) -> None:
    """The records' fitness is the asked one, and best.pt has the weights of the last of the epochs with the highest.

    Where a constraint is violated by all of them, of the last of those that violate it least, whatever their fitness.
    """
    fitness = parse_fitness(outcome.settings.get("fitness", STOCK_FITNESS))
    expected = []
    for record in outcome.records:
        os.environ[EPOCH] = str(record["epoch"])
        expected.append(fitness(record["metrics"]))
    assert [record["fitness"] for record in outcome.records] == pytest.approx(expected, abs=1e-5)
    values = [record["fitness"] for record in outcome.records]
    violated = [total(record["violations"]) for record in outcome.records]
    order = [(not by, -by if by else value) for by, value in zip(violated, values, strict=True)]
    best = max(range(len(values)), key=lambda epoch: (order[epoch], epoch))
    assert outcome.parts()[-1][0]["result"] == {"best_epoch": best + 1, "best_fitness": values[best]}
    averages = {epoch: average for seen, _, _ in outcome.parts() for epoch, average in seen["averages"].items()}
    checkpoint = torch.load(outcome.last / "weights/best.pt", weights_only=False)
    assert digest(checkpoint["model"].state_dict().values()) == averages[str(best + 1)]
    assert violated[best] or checkpoint["train_metrics"]["fitness"] == pytest.approx(values[best])
    assert len(set(averages.values())) == outcome.epochs


def a_cpu_synchronises_nothing(outcome: Outcome) -> None:
    """On CPU ranks torch cannot, and the run goes on without."""
    assert not any(epoch["synchronised"] for epoch in outcome.epochs_of())


def replicas_are_equal(outcome: Outcome) -> None:
    """After every epoch, to the last bit, as is what trains."""
    kinds = ("fixed", "class_weights", "grouped")
    first, *others = (outcome.epochs_of(rank) for rank in range(len(outcome.seen)))
    for other in others:
        for one, two in zip(first, other, strict=True):
            assert {layer: kept[0] for layer, kept in one["layers"].items()} == {
                layer: kept[0] for layer, kept in two["layers"].items()
            }
            assert {kind: one[kind] for kind in kinds} == {kind: two[kind] for kind in kinds}
            assert one["losses"] != two["losses"]


def every_epoch_is_recorded_once(outcome: Outcome) -> None:
    """To the caller, in the result, in records.jsonl and in results.csv, whatever the final evaluation does."""
    everything = list(range(1, outcome.epochs + 1))
    for rank, seen in enumerate(outcome.seen):
        assert seen["whole"]["told"] == (everything if rank == 0 else [])
        if outcome.interrupted_after:
            assert seen["resumed"]["told"] == (everything[outcome.interrupted_after :] if rank == 0 else [])
    assert [record["epoch"] for record in outcome.records] == everything
    assert len((outcome.last / "records.jsonl").read_text().splitlines()) == outcome.epochs
    with (outcome.last / "results.csv").open() as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == everything


def checkpoints_come_when_due(outcome: Outcome) -> None:
    """After the first epoch, the last, and as asked; a run that was interrupted between two began again from the first
    of them, and told nothing twice."""
    every = outcome.settings.get("checkpoint_every", 1)
    due = {1, outcome.epochs, *(range(every, outcome.epochs + 1, every) if isinstance(every, int) else ())}
    seen = outcome.seen[0]
    assert seen["whole"]["checkpoints"] == sorted(due)
    if outcome.interrupted_after:
        begun = max(epoch for epoch in due if epoch <= outcome.interrupted_after)
        assert seen["resumed"]["epochs"][0]["epoch"] == begun + 1


def a_resumed_run_is_the_uninterrupted_one(outcome: Outcome) -> None:
    """In all that would determine a next epoch, and in its history, bit for bit."""
    if outcome.interrupted_after:
        assert outcome.seen[0]["differences"] == []


def checkpoints_load_in_stock_ultralytics(outcome: Outcome) -> None:
    """And predict, in a process in which this package cannot be imported."""
    for name in ("best.pt", "last.pt"):
        assert outcome.loaded(outcome.last / "weights" / name) == {"names": list(NAMES), "images": 1}

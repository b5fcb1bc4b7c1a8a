"""A population's generations decided again: all of them, from what the study holds, and nothing that was altered."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytrainer.cli import main
from raytrainer.config.layout import StudyFolder
from raytrainer.config.space import Space
from raytrainer.search.population import Generation, generations
from raytrainer.search.reading import read_record
from raytrainer.search.replay_population import SOURCE, UNKNOWN, Redecided, redecide
from raytrainer.search.study import Study
from raytrainer.search.views import LINEAGE, TrialView
from search import test_population
from search.test_population import NUMBERS, Training, drive, run, space

Held = tuple[list[TrialView], list[Generation]]


def held_in(folder: Path, asked: Space) -> Held:
    record = read_record(StudyFolder(folder), asked.storage, asked.name)
    assert record is not None
    return record.trials, generations(record.attrs)


def decided_again(folder: Path, asked: Space) -> list[Redecided]:
    return list(redecide(asked, *held_in(folder, asked)))


@pytest.mark.parametrize(
    ("places", "search"),
    [
        (1, {}),
        (3, {}),
        (3, {"trials": 8, "quantile_fraction": 0.5, "resample_probability": 0.6, "seed": 1}),
        (1, {"trials": 5, "perturbation_interval": 1}),
        (1, {"trials": 4, "perturbation_interval": 3}),
        (1, {"schedule": "pb2", "trials": 3, "perturbation_interval": 3}),  # a Gaussian process takes its time
    ],
    ids=str,
)
def test_every_generation_comes_out_again(tmp_path: Path, places: int, search: dict[str, Any]) -> None:
    asked = space(**search)
    views = run(tmp_path, asked, places)
    assert any(view.lineage[1:] for view in views)
    again = decided_again(tmp_path, asked)
    assert [one.epoch for one in again] == test_population.boundaries(asked)
    assert [one.differences for one in again if not one.agrees] == []


def test_it_knows_who_was_best_before_a_curve_was_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose best epoch was between two changes, and whose curve is another's by now."""
    monkeypatch.setattr(test_population, "gain", lambda values, epoch: math.sin(1e4 * values["mosaic"] * epoch))
    seen = 0
    for seed in range(6):
        asked, folder = space(seed=seed, trials=8, perturbation_interval=3), tmp_path / str(seed)
        run(folder, asked)
        views, held = held_in(folder, asked)
        assert all(one.agrees for one in redecide(asked, views, held))
        shown = [replace(view, trained=view.values) for view in views]
        seen += not all(one.agrees for one in redecide(asked, shown, held))
    assert seen


@pytest.mark.parametrize("turns", [1, 7, 12, 13, 20, 25])
def test_a_study_on_its_way_comes_out_again(tmp_path: Path, turns: int) -> None:
    with Study.open(tmp_path, space()) as study:
        drive(study, Training(study), turns=turns)
    assert all(one.agrees for one in decided_again(tmp_path, space()))


@pytest.mark.parametrize("handed", [0, 1])
def test_what_is_decided_and_not_handed_over_yet_is_no_difference(tmp_path: Path, handed: int) -> None:
    with Study.open(tmp_path, space()) as study:
        training, left = Training(study), [None] * handed

        def full(source: int, target: int) -> None:
            if not left:
                raise OSError(28, "No space left on device")
            left.pop()
            training.take_over(source, target)

        study.turning.hand_over = full
        drive(study, training)
    (first,) = decided_again(tmp_path, space())
    assert first.agrees


def test_a_trial_that_failed_is_missed_by_nobody(tmp_path: Path) -> None:
    with Study.open(tmp_path, space()) as study:
        training = Training(study)
        drive(study, training, turns=13)
        failed = next(view.number for view in study.snapshot() if view.state == "running")
        study.finish(failed, "failed", "after its first generation")
        drive(study, training)
    again = decided_again(tmp_path, space())
    assert [one.agrees for one in again] == [True] * 3
    assert failed in {member.trial for member in again[0].held.members}  # type: ignore[union-attr]
    assert failed not in {member.trial for member in again[1].held.members}  # type: ignore[union-attr]


Alter = Callable[[list[TrialView], list[Generation]], Held]


def first_replaced(held: list[Generation]) -> int:
    """After the last generation, by Ray's order."""
    return held[-1].clones[0].trial


def with_note(views: list[TrialView], number: int, key: str, change: Callable[[Any], Any]) -> list[TrialView]:
    changed = change(deepcopy(views[number].notes[key]))
    return [replace(v, notes={**v.notes, key: changed}) if v.number == number else v for v in views]


def other_value(views: list[TrialView], held: list[Generation]) -> Held:
    def change(stages: list[Any]) -> list[Any]:
        stages[-1]["values"]["lr0"] = 0.5
        return stages

    return with_note(views, first_replaced(held), LINEAGE, change), held


def other_beginning(views: list[TrialView], held: list[Generation]) -> Held:
    def change(stages: list[Any]) -> list[Any]:
        stages[0]["values"]["box"] = 8.75
        return stages

    return with_note(views, first_replaced(held), LINEAGE, change), held


def other_source(views: list[TrialView], held: list[Generation]) -> Held:
    def change(stages: list[Any]) -> list[Any]:
        stages[-1]["trial"] += 1
        return stages

    return with_note(views, first_replaced(held), LINEAGE, change), held


def other_curve(views: list[TrialView], held: list[Generation]) -> Held:
    number = first_replaced(held)
    return [replace(v, values={**v.values, 1: 9.0}) if v.number == number else v for v in views], held


def other_report(views: list[TrialView], held: list[Generation]) -> Held:
    """Of an epoch that was given up for another trial's."""
    number = first_replaced(held)
    return [replace(v, trained={**v.trained, 6: -9.0}) if v.number == number else v for v in views], held


def other_decision(views: list[TrialView], held: list[Generation]) -> Held:
    first, *rest = held[-1].clones
    changed = replace(first, values={**first.values, "lr0": 0.5})
    return views, [*held[:-1], replace(held[-1], clones=(changed, *rest))]


def nobody_replaced(views: list[TrialView], held: list[Generation]) -> Held:
    return views, [*held[:-1], replace(held[-1], clones=held[-1].clones[1:])]


def other_score(views: list[TrialView], held: list[Generation]) -> Held:
    number = first_replaced(held)
    members = tuple(replace(m, score=m.score / 2) if m.trial == number else m for m in held[-1].members)
    return views, [*held[:-1], replace(held[-1], members=members)]


ALTERED: dict[Alter, set[str]] = {
    other_value: {"lr0 in its lineage"},
    other_beginning: {"box in its lineage"},
    other_source: {f"{SOURCE} in its lineage"},
    other_curve: {"fitness of epoch 1 in its lineage"},
    other_report: {"fitness"},
    other_decision: {"lr0", "lr0 in its lineage"},
    nobody_replaced: {SOURCE, f"{SOURCE} in its lineage"},
    other_score: {"fitness"},
}
"""What was altered of one trial, and what is said to differ."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Held:
    folder = tmp_path_factory.mktemp("whole")
    run(folder, space())
    return held_in(folder, space())


@pytest.mark.parametrize("altered", ALTERED, ids=lambda altered: altered.__name__)
def test_what_was_altered_is_found_out(whole: Held, altered: Alter) -> None:
    again = list(redecide(space(), *altered(*whole)))
    assert [one.epoch for one in again] == [2, 4, 6]
    assert not all(one.agrees for one in again)
    found = {(each.trial, each.key) for one in again for each in one.differences}
    assert found >= {(first_replaced(whole[1]), key) for key in ALTERED[altered]}
    assert len(found) <= 3, "and nothing of the others"


def test_another_seed_decides_otherwise(whole: Held) -> None:
    """It would not agree whatever was decided."""
    assert not any(one.agrees for one in redecide(space(seed=7), *whole))


def test_a_generation_without_a_record_is_not_decided_again(whole: Held) -> None:
    views, held = whole
    first, second, last = redecide(space(), views, [held[0], held[2]])
    assert first.agrees
    assert (second.held, second.undrawn) == (None, UNKNOWN)
    assert last.undrawn
    assert not second.agrees
    assert not last.agrees


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole study of six trials, its space beside it."""
    asked = space(parameters=dict(NUMBERS))
    run(tmp_path, asked)
    StudyFolder(tmp_path).space.write_text(asked.to_yaml())
    return tmp_path


def said(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    status = main(["replay", str(folder), *arguments])
    return status, capsys.readouterr().out.splitlines()


def test_the_verb_tells_of_every_generation(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = said(folder, capsys)
    assert (status, lines[-1]) == (0, "5 of 5 suggestions and 3 of 3 generations come out the same")
    assert [line.split(";")[0] for line in lines[6:9]] == [f"generation up to epoch {n}: the same" for n in (2, 4, 6)]
    assert all(line.count(" goes on from trial ") == 2 for line in lines[6:9])
    status, lines = said(folder, capsys, "--trial", "0")
    assert lines[1:4] == [f"generation up to epoch {epoch}: the same; no values change" for epoch in (2, 4, 6)]
    assert lines[4:] == ["0 of 0 suggestions and 3 of 3 generations come out the same"]


def test_the_verb_tells_what_differs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = StudyFolder(folder).journal
    views, held = held_in(folder, space())
    number = first_replaced(held)
    value = views[number].present["mosaic"]
    lines = journal.read_text().splitlines(keepends=True)
    noted = max(place for place, text in enumerate(lines) if LINEAGE in text and str(value) in text)
    lines[noted] = lines[noted].replace(str(value), "0.125")
    journal.write_text("".join(lines))
    differs = f"generation up to epoch 6: DIFFERS: trial {number}: mosaic in its lineage was 0.125, is {value}; "
    for asked in ((), ("--trial", str(number))):
        status, told = said(folder, capsys, *asked)
        assert status == 1
        assert told[-2].startswith(differs)
        assert told[-1].endswith("suggestions and 2 of 3 generations come out the same")


def test_the_verb_tells_what_it_could_not_decide_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = StudyFolder(folder).journal
    journal.write_text("".join(t for t in journal.read_text().splitlines(keepends=True) if "generation_4" not in t))
    status, lines = said(folder, capsys)
    assert status == 1
    assert lines[7] == "generation up to epoch 4: not decided again, the study keeps no record of it"
    assert lines[8] == "generation up to epoch 6: not decided again, the study keeps no record of one before it"
    assert lines[9].endswith("1 of 1 generations come out the same; generations not decided again: 2")

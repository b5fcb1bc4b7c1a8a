"""A fitness that is a list of objectives: how it is read, kept and changed, and what is told of a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrainer.commands.settings_flags import setting_value
from raytrainer.config.assemble import assemble
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.settings import Settings
from raytrainer.config.space import Space

from .bad_forms import HEAD, Bad, bad
from .test_bad_files import find_problems

TRAIN = "train: {optimizer: AdamW, epochs: 20}\n"
LR0 = "space:\n  lr0: {low: 1e-5, high: 1e-2, log: true}\n"
TWO = ["mAP50-95", "-latency_ms"]

WRONG = [
    bad("unknown metric", HEAD + "fitness:\n  - mAP50\n  - -latencyms\n" + TRAIN + LR0,
        "5: fitness.1: unknown metric 'latencyms', did you mean 'latency_ms'? (at character 2 of '-latencyms')"),
    bad("unknown class", HEAD + "fitness: ['AP[dot]', mAP50]\n" + TRAIN + LR0,
        "3: fitness.0: the dataset has no class 'dot', did you mean 'dog'? (at character 1 of 'AP[dot]')"),
    bad("twice", HEAD + "fitness: [mAP50, -params, '- params']\n" + TRAIN + LR0,
        "3: fitness.2: '- params' is there twice, first as fitness.1"),
    bad("too many", HEAD + "fitness: [mAP50, recall, F1, -params, -GFLOPs]\n" + TRAIN + LR0,
        "3: fitness: expected at most 4 objectives, got 5: more are best put together in one"),
    bad("none", HEAD + "fitness: []\n" + TRAIN + LR0, "3: fitness: expected text or a list of (text), got []"),
    bad("no text", HEAD + "fitness: [mAP50, 5]\n" + TRAIN + LR0,
        '3: fitness: expected text or a list of (text), got ["mAP50", 5]'),
    bad("a function", HEAD + "fitness: [mAP50, mine.py:score]\n" + TRAIN + LR0,
        "3: fitness.1: expected an expression: a function can only be the fitness by itself (at character 1 of "
        "'mine.py:score')"),
    bad("never a number", HEAD + "fitness: [mAP50, -params/0]\n" + TRAIN + LR0,
        "3: fitness.1: '-params/0' is never a number: it divides by 0"),
    bad("a gain of what", HEAD + "fitness: [mAP50, -params]\n" + TRAIN + "search: {min_gain: 0.1}\n" + LR0,
        "5: search.min_gain: is of one fitness, and there are several objectives; search.trials or search.budget ends "
        "the study"),
    bad("a population", HEAD + "fitness: [mAP50, -params]\n" + TRAIN + "search: {schedule: pbt}\n" + LR0,
        "3: fitness: a population has one objective, by which the worst go on from the best (search.schedule: pbt)"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_every_problem_is_told_and_no_other(case: Bad, space_file: Callable[[str], Path]) -> None:
    file = space_file(case.text)
    assert [str(problem) for problem in find_problems(file)] == [f"{file}:{problem}" for problem in case.problems]


@pytest.mark.parametrize(
    ("written", "override", "fitness"),
    [
        ("[mAP50-95, -latency_ms]", None, TWO),
        ("mAP50", "fitness=[mAP50-95, -latency_ms]", TWO),
        ("[mAP50-95, -latency_ms]", "fitness=mAP50", "mAP50"),
        ("[mAP50]", None, "mAP50"),
        ("mAP50", "fitness=[-mAP50]", "-mAP50"),
        ("mAP50", "fitness=AP[a: b] - 1", "AP[a: b] - 1"),
    ],
)
def test_it_is_read_and_kept(written: str, override: str | None, fitness: Any, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(f"model: m.yaml\ndata: d.yaml\nfitness: {written}\n{LR0}")
    space = load_space(file, [override] if override else [])
    assert space.fitness == fitness
    assert space.objectives == ([fitness] if isinstance(fitness, str) else fitness)
    kept = tmp_path / "kept.yaml"
    kept.write_text(space.to_yaml())
    assert load_space(kept) == space
    settings = assemble(space, {}).settings
    assert settings.fitness == fitness
    assert Settings.from_yaml(settings.to_yaml()) == settings


def test_a_list_of_one_is_that_one() -> None:
    assert Space(model="m", data="d", fitness=["mAP50"]) == Space(model="m", data="d", fitness="mAP50")
    assert Settings(fitness=["mAP50"]) == Settings(fitness="mAP50")


def test_commas_of_an_expression_are_no_list_on_the_command_line() -> None:
    assert setting_value("fitness", "min(mAP50, recall)") == "min(mAP50, recall)"
    assert setting_value("fitness", "[mAP50, -params]") == "[mAP50, -params]"


def test_it_is_no_setting_of_the_trainer(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(f"model: m.yaml\ndata: d.yaml\ntrainer: {{fitness: [mAP50, -params]}}\n{LR0}")
    with pytest.raises(UserError, match=r"trainer\.fitness: stands at the top of the file"):
        load_space(file)

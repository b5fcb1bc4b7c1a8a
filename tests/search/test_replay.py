"""A study's suggestions drawn again: whoever came first, whatever became of the others, whichever the sampler."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytrainer.cli import main
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.config.space import Categorical, Float, Integer
from raytrainer.search.earlier_spaces import earlier_of
from raytrainer.search.reading import read_record
from raytrainer.search.replay import Replayed, replay
from raytrainer.search.study import Study
from raytrainer.search.views import TrialView
from search.studies import CONDITIONAL, EPOCHS, fitness, space


def workers(folder: Path, asked: Any, count: int, seed: int = 0, *, most: int | None = None) -> list[TrialView]:
    """Runs a study with several workers that come in any order; now and then a trial fails, or the driver dies.

    It is left as it is at the `most`-th trial, and goes on with a space that may be wider.
    """
    chance = random.Random(seed)
    study = Study.open(folder, asked, extend=True)
    running = [trial.number for trial in study.adopt()]
    while True:
        while len(running) < count and len(study.snapshot()) != most and (trial := study.ask()):
            running.append(trial.number)
        if not running or len(study.snapshot()) == most:
            break
        view = study.snapshot()[chance.choice(running)]
        study.report(view.number, view.last_epoch + 1, fitness(view.params, view.last_epoch + 1))
        if chance.random() < 0.02:
            study.finish(view.number, "failed", "bad luck")
        elif view.last_epoch + 1 == EPOCHS:
            study.finish(view.number, "complete")
        elif study.should_stop(view.number):
            study.give_up(view.number)
        if chance.random() < 0.02:
            study.close()
            study = Study.open(folder, asked)
            running = [trial.number for trial in study.adopt()]
        running = [number for number in running if study.snapshot()[number].state == "running"]
    study.close()
    return study.snapshot()


def replayed(folder: Path, count: int, **search: Any) -> list[Replayed]:
    asked = space(CONDITIONAL, trials=20, **search)
    return list(replay(asked, workers(folder, asked, count)))


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(
    "search",
    [
        {"sampler_args": {"n_startup_trials": 4}},
        {"sampler_args": {"n_startup_trials": 4}, "pruner": "asha-promote"},
        {"sampler": "tpe", "sampler_args": {"n_startup_trials": 4}},
        {"sampler": "tpe", "sampler_args": {"n_startup_trials": 4}, "pruner": "asha-promote"},
        {"sampler": "nsgaii", "sampler_args": {"population_size": 4}},
        {"sampler": "qmc"},
        {"sampler": "random"},
    ],
    ids=lambda search: "-".join([search.get("sampler", "auto"), search.get("pruner", "asha")]),
)
def test_every_suggestion_comes_out_again(tmp_path: Path, count: int, search: dict[str, Any]) -> None:
    first, *others = replayed(tmp_path, count, **search)
    assert first.again is None, "the defaults were not suggested"
    assert len(others) == 19
    assert [one.number for one in others if not one.agrees] == []
    assert count == 1 or any(one.waited_for > 2 for one in others)


SOON: dict[str, dict[str, Any]] = {
    "auto": {"n_startup_trials": 4}, "tpe": {"n_startup_trials": 4}, "nsgaii": {"population_size": 4}
}  # fmt: skip
"""Arguments with which a sampler soon draws by what there is."""
BEGUN = {name: CONDITIONAL[name] for name in ("lr0", "batch", "freeze", "warmup_epochs")}
GROWN: dict[str, list[dict[str, Any]]] = {
    "wider ranges": [{"lr0": Float(low=1e-6, high=1.0, log=True, default=0.01)}],
    "another choice, first": [{"freeze": Categorical(choices=[5, None, 10, "backbone"], default=None)}],
    "a new parameter": [{"cos_lr": CONDITIONAL["cos_lr"]}],
    "a first condition": [
        {"warmup_momentum": Float(low=0.0, high=0.95, default=0.8, when={"freeze": [None, "backbone"]})}
    ],
    "one after another": [
        {"batch": Integer(low=1, high=128, log=True, default=8)},
        {"mosaic": Float(low=0.0, high=1.0, default=1.0)},
        {"lr0": Float(low=1e-6, high=1.0, log=True, default=0.01)},
    ],
}


@pytest.mark.parametrize("sampler", ["auto", "tpe", "nsgaii", "qmc"])
@pytest.mark.parametrize("name", GROWN)
def test_a_study_that_grew_comes_out_again(name: str, sampler: str, tmp_path: Path) -> None:
    """Each trial from what was searched then; some run when the space grows."""
    parameters: dict[str, Any] = dict(BEGUN)
    for step, grown in enumerate([{}, *GROWN[name]]):
        parameters |= grown
        asked = space(parameters, trials=40, sampler=sampler, sampler_args=SOON.get(sampler, {}))
        workers(tmp_path, asked, 4, step, most=8 * (step + 1))
    record = read_record(StudyFolder(tmp_path), asked.storage, asked.name)
    assert record is not None
    drawn = list(replay(asked, record.trials, earlier_of(record.attrs)))
    assert [one.number for one in drawn if one.number and not one.agrees] == []
    assert len(drawn) == 8 * (1 + len(GROWN[name]))
    assert [*replay(asked, record.trials[:7], earlier_of(record.attrs))] == drawn[:7], "also the first of them alone"
    assert sum(one.agrees for one in replay(asked, record.trials)) < len(drawn) - 2, "not without what is kept"


def test_it_says_what_the_model_expected(tmp_path: Path) -> None:
    modelled = [one for one in replayed(tmp_path, 3, sampler_args={"n_startup_trials": 4}) if one.number > 4]
    for one in modelled:
        assert one.why["from"] <= one.why["expected"] <= one.why["to"]
        assert -1 < one.why["best"] < 2


def test_another_history_is_another_suggestion(tmp_path: Path) -> None:
    """The replay would not agree whatever happens."""
    asked = space(CONDITIONAL, trials=20, sampler_args={"n_startup_trials": 4})
    views = workers(tmp_path, asked, 4)
    shifted = [replace(view, values={epoch: -value for epoch, value in view.values.items()}) for view in views]
    assert sum(one.agrees for one in replay(asked, shifted)) < 12
    reseeded = asked.model_copy(update={"search": asked.search.model_copy(update={"seed": 1})})
    assert sum(one.agrees for one in replay(reseeded, views)) < 3


REPLAY = """
import sys
from raytrainer.cli import main
status = main(["replay", *sys.argv[1:]])
heavy = {"ray", "torch", "ultralytics"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else status)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study of eight trials, its space beside it."""
    parameters = {name: CONDITIONAL[name] for name in ("lr0", "box", "batch", "optimizer", "momentum")}
    asked = space(parameters, trials=8, sampler_args={"n_startup_trials": 4})
    workers(tmp_path, asked, 3)
    StudyFolder(tmp_path).space.write_text(asked.to_yaml())
    return tmp_path


def test_the_verb_tells_of_every_trial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> tuple[int, list[str]]:
        status = main(["replay", str(folder), *arguments])
        return status, capsys.readouterr().out.splitlines()

    status, lines = said()
    assert (status, lines[0], lines[-1]) == (0, "trial 0: not suggested", "7 of 7 suggestions come out the same")
    assert lines[2].startswith("trial 2: the same; drawn without a model of what to expect; ")
    assert lines[7].startswith("trial 7: the same; expected ")
    assert said("--trial", "7") == (0, [lines[7], "1 of 1 suggestions come out the same"])
    assert said("--trial", "8")[0] == 2
    changed = StudyFolder(folder).space
    changed.write_text(changed.read_text().replace("seed: 0", "seed: 5"))
    status, lines = said()
    assert status == 1
    assert lines[3].startswith("trial 3: DIFFERS: ")


def test_the_verb_draws_a_trial_from_the_space_of_its_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grown = load_space(StudyFolder(folder).space)
    wider = {**grown.space, "lr0": Float(low=1e-6, high=1.0, log=True, default=0.01), "cos_lr": CONDITIONAL["cos_lr"]}
    grown = grown.model_copy(update={"space": wider, "search": grown.search.model_copy(update={"trials": 12})})
    workers(folder, grown, 3)
    StudyFolder(folder).space.write_text(grown.to_yaml())
    assert main(["replay", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "11 of 11 suggestions come out the same"


def test_the_verb_needs_neither_ray_nor_torch(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", REPLAY, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

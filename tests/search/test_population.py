"""Generations: who goes on from whom, with which values, the same from the seed and after any kill."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.population import boundaries
from raytrainer.config.space import Categorical, Failures, Float, Integer, Search, Space
from raytrainer.search.population import Clone, Generation, Member, generations, spared
from raytrainer.search.ray_population import decided
from raytrainer.search.study import Study, TrialHandle
from raytrainer.search.views import TrialView

EPOCHS = 8
NUMBERS = {
    "lr0": Float(low=1e-5, high=1e-1, log=True, default=0.01),
    "box": Float(low=1.0, high=9.0, step=0.5, default=7.5),
    "mosaic": Float(low=0.0, high=1.0, default=1.0),
}
MIXED = {
    **NUMBERS,
    "degrees": Integer(low=0, high=40, default=10),
    "clip_grad_norm": Categorical(choices=[0.1, 1, 10]),
}


def space(schedule: str = "pbt", parameters: dict[str, Any] | None = None, **search: Any) -> Space:
    asked = {"trials": 6, "schedule": schedule, "perturbation_interval": 2, **search}
    return Space(
        model="yolo.yaml",
        data="data.yaml",
        train={"epochs": EPOCHS, "warmup_epochs": 0},
        space=parameters or (MIXED if schedule == "pbt" else NUMBERS),
        search=Search(**asked),
        failures=Failures(same_error=None),
    )


class Training:
    """Trials whose state is a number, which grows by what their present values are worth."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.states: dict[int, dict[int, float]] = {}
        study.turning.hand_over = self.take_over

    def take_over(self, source: int, target: int) -> None:
        self.states[target] = dict(self.states[source])

    def epoch(self, trial: TrialHandle) -> bool:
        """One more epoch; whether the trial goes on."""
        view = self.study.snapshot()[trial.number]
        epoch, state = view.last_epoch + 1, self.states.setdefault(trial.number, {0: 0.0})
        values = {**trial.params}
        for since, changed in trial.later:
            assert since < epoch
            values = dict(changed)
        state[epoch] = state[epoch - 1] + gain(values, epoch)
        self.study.report(trial.number, epoch, state[epoch])
        if epoch == EPOCHS:
            self.study.finish(trial.number, "complete")
        elif self.study.should_stop(trial.number):
            self.study.give_up(trial.number)
        return self.study.snapshot()[trial.number].state == "running"


def gain(values: dict[str, Any], epoch: int) -> float:
    """Best with a learning rate of 1e-2 at first and of 1e-4 at the end."""
    return 1.0 - abs(math.log10(values["lr0"]) + 2 + epoch / 4) / 4 - values["box"] / 100


def drive(study: Study, training: Training, places: int = 1, turns: int = 10_000) -> None:
    """Run `places` trials at a time, an epoch each in turn, for so many turns."""
    running = list(study.adopt())
    for _ in range(turns):
        while len(running) < places and (trial := study.ask()) is not None:
            running.append(trial)
        if not running:
            return
        running = [trial for trial in running if training.epoch(trial)]


def run(folder: Path, asked: Space, places: int = 1) -> list[TrialView]:
    with Study.open(folder, asked) as study:
        drive(study, Training(study), places)
        return study.snapshot()


def essence(views: list[TrialView]) -> list[Any]:
    return [(v.number, v.state, v.params, dict(v.values), v.lineage, v.best_fitness, v.best_epoch) for v in views]


@pytest.mark.parametrize("schedule", ["pbt", "pb2"])
def test_the_worst_go_on_from_the_best(tmp_path: Path, schedule: str) -> None:
    asked = space(schedule, trials=6 if schedule == "pbt" else 4)
    with Study.open(tmp_path, asked) as study:
        training = Training(study)
        drive(study, training)
        views, turned = study.snapshot(), generations(study._ledger.attrs())
    assert [generation.epoch for generation in turned] == boundaries(asked) == [2, 4, 6]
    assert {view.state for view in views} == {"complete"}
    for generation in turned:
        score = {member.trial: member.score for member in generation.members}
        assert len(generation.clones) == math.ceil(0.25 * len(views))
        for clone in generation.clones:
            assert clone.trial != 0
            assert score[clone.source] >= sorted(score.values())[-len(generation.clones)]
            assert score[clone.trial] < score[clone.source]
            assert all(asked.space[name].holds(value) for name, value in clone.values.items())
    changed = [clone for generation in turned[1:] for clone in generation.clones]
    assert any(clone.values != turned[0].members[clone.source].values for clone in changed)
    for view in views:
        assert view.values == {epoch: training.states[view.number][epoch] for epoch in range(1, EPOCHS + 1)}
        assert view.best_fitness == max(view.values.values())
    assert len(views[0].lineage) == 1, "the defaults are trained to the end"
    assert views[0].lineage[0].values == views[0].params


@pytest.mark.parametrize("schedule", ["pbt", "pb2"])
def test_places_and_kills_change_nothing(tmp_path: Path, schedule: str) -> None:
    few = {"trials": 4, "perturbation_interval": 3} if schedule == "pb2" else {}  # a Gaussian process takes its time
    asked = space(schedule, **few)
    whole = essence(run(tmp_path / "whole", asked))
    assert essence(run(tmp_path / "wide", asked, places=4)) == whole
    states: dict[int, dict[int, float]] = {}
    for _ in range(200):  # a driver that dies after every three epochs
        with Study.open(tmp_path / "killed", asked) as study:
            training = Training(study)
            training.states = states
            drive(study, training, places=2, turns=3)
            if [view.state for view in study.snapshot()] == ["complete"] * len(whole):
                break
    assert essence(study.snapshot()) == whole
    assert essence(run(tmp_path / "other", space(schedule, seed=1, **few))) != whole


class Killed(BaseException):
    pass


@pytest.mark.parametrize("dies_at", range(1, 7))
def test_a_driver_that_dies_while_it_turns_a_generation(tmp_path: Path, dies_at: int) -> None:
    """At each of its writes and each state that it hands over: the next one ends with the same study."""
    whole = essence(run(tmp_path / "whole", space()))
    folder, states = tmp_path / "killed", dict[int, dict[int, float]]()
    with Study.open(folder, space()) as study:
        training = Training(study)
        training.states = states
        steps = 0

        def step(do: Any) -> Any:
            def counted(*args: Any) -> None:
                nonlocal steps
                if str(args[0]).startswith("generation") or args[-1:] != (0,):
                    steps += 1
                if steps == dies_at:
                    raise Killed
                do(*args)

            return counted

        study.turning.hand_over = step(training.take_over)
        study._ledger.set_attr = step(study._ledger.set_attr)  # type: ignore[method-assign]
        with pytest.raises(Killed):
            drive(study, training)
        study._ledger.set_attr = lambda *_: None  # type: ignore[method-assign]
    with Study.open(folder, space()) as study:
        training = Training(study)
        training.states = states
        drive(study, training)
        assert essence(study.snapshot()) == whole


def test_a_state_that_cannot_be_handed_over_is_waited_for(tmp_path: Path) -> None:
    whole = essence(run(tmp_path / "whole", space()))
    told: list[str] = []
    with Study.open(tmp_path / "full", space()) as study:
        study.tell = told.append
        training = Training(study)

        def full(*_: int) -> None:
            raise OSError(28, "No space left on device")

        study.turning.hand_over = full
        drive(study, training)
        assert study.behind, "who asks is to ask again"
        assert study.ask() is None
        study.turning.hand_over = training.take_over
        drive(study, training)
        assert not study.behind
        assert essence(study.snapshot()) == whole
    assert told == ["the population waits, nothing is lost: [Errno 28] No space left on device"]


def test_a_trial_that_fails_is_missed_by_nobody(tmp_path: Path) -> None:
    with Study.open(tmp_path, space()) as study:
        training = Training(study)
        drive(study, training, turns=1)
        study.finish(0, "failed", "at the first epoch")
        drive(study, training)
        views = study.snapshot()
    assert [view.state for view in views] == ["failed", *["complete"] * 5]
    assert all(view.last_epoch == EPOCHS for view in views[1:])


def members(*scores: float) -> list[Member]:
    return [Member(number, score, {"lr0": 0.01, "box": 7.5, "mosaic": 0.5}) for number, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "kept", "replaced", "sources"),
    [
        ((5, 4, 3, 2, 1), {0}, {3, 4}, {0, 1}),
        ((1, 5, 4, 3, 2), {0}, {3, 4}, {1, 2}),  # the defaults are the worst
        ((1, 5, 4, 3, 2), {0, 4}, {3}, {1, 2}),  # and one that was the best before
        ((1, 5), {0}, set(), {1}),
        ((5, 1), {0}, {1}, {0}),
        ((5,), {0}, set(), set()),
    ],
)
def test_who_is_replaced(scores: tuple[float, ...], kept: set[int], replaced: set[int], sources: set[int]) -> None:
    generation = decided(space(parameters=dict(NUMBERS)), 2, members(*scores), kept, [])
    assert {clone.trial for clone in generation.clones} == replaced
    assert {clone.source for clone in generation.clones} <= sources


def test_the_best_model_is_never_lost() -> None:
    curves = [{1: 0.1, 2: 0.2}, {1: 0.9, 2: 0.0}, {1: 0.3, 2: 0.5}, {1: 0.2, 2: 0.3}]
    views = [TrialView(n, "paused", {}, c, best_fitness=max(c.values())) for n, c in enumerate(curves)]
    assert spared(views) == {0, 1}


@pytest.mark.parametrize(
    ("name", "parameter", "schedule"),
    [
        ("lr0", Float(low=0.009, high=0.011, log=True, default=0.01), "pbt"),
        ("lr0", Float(low=0.009, high=0.011, log=True, default=0.01), "pb2"),
        ("box", Float(low=7.0, high=8.0, step=0.25, default=7.5), "pbt"),
        ("box", Float(low=7.0, high=8.0, step=0.25, default=7.5), "pb2"),
        ("degrees", Integer(low=1, high=3, default=2), "pbt"),
        ("degrees", Integer(low=1, high=3, default=2), "pb2"),
        ("class_weights.red/green", Float(low=1.0, high=3.0, default=2.0), "pbt"),
        ("class_weights.red/green", Float(low=1.0, high=3.0, default=2.0), "pb2"),
        ("clip_grad_norm", Categorical(choices=[0.1, 1.0, 10.0], default=1.0), "pbt"),
    ],
)
def test_values_stay_inside_their_range_and_on_their_steps(name: str, parameter: Any, schedule: str) -> None:
    many, epochs = (40, (2, 4, 6)) if schedule == "pbt" else (4, (2, 4))
    asked = space(schedule, {name: parameter})
    crowd, before = [Member(n, n / 40, {name: parameter.default}) for n in range(many)], list[Generation]()
    for epoch in epochs:
        before.append(decided(asked, epoch, crowd, {0}, before))
        values = {clone.trial: clone.values for clone in before[-1].clones}
        crowd = [Member(m.trial, m.score + m.trial / 40, values.get(m.trial, m.values)) for m in crowd]
    found = [clone.values[name] for generation in before[1:] for clone in generation.clones]
    assert all(parameter.holds(value) and type(value) is type(parameter.default) for value in found)
    assert set(found) != {parameter.default}


def test_a_generation_is_json_and_back() -> None:
    generation = Generation(4, tuple(members(1, 2)), (Clone(0, 1, {"lr0": 0.1, "clip_grad_norm": None}),))
    assert Generation.of(generation.to_plain()) == generation


def test_pb2_learns_where_it_gains_most() -> None:
    """Of a gain that is larger the larger the value is, after a few generations."""
    asked = space("pb2", {"mosaic": NUMBERS["mosaic"]})
    crowd, before = [Member(n, 0.0, {"mosaic": n / 7}) for n in range(8)], list[Generation]()
    for epoch in (2, 4, 6):
        crowd = [Member(m.trial, m.score + float(m.values["mosaic"] or 0), m.values) for m in crowd]
        before.append(decided(asked, epoch, crowd, {0}, before))
        clones = {clone.trial: clone for clone in before[-1].clones}
        crowd = [
            Member(m.trial, crowd[clones[m.trial].source].score, clones[m.trial].values) if m.trial in clones else m
            for m in crowd
        ]
    first = before[-1].clones[0]  # the next of the same generation looks where less is known
    assert first.values["mosaic"] == pytest.approx(1.0, abs=0.2)

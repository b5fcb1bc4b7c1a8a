"""The study through Ray Tune itself: what becomes of trials that end, are stopped, fail, die and come back."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.space import Budget, Failures
from raytrainer.search.meter import Hours, NoHours
from raytrainer.search.reading import read_views
from raytrainer.search.scheduler import StudyScheduler
from raytrainer.search.searcher import StudySearcher
from raytrainer.search.study import Study
from raytrainer.search.views import TrialView
from search.studies import EPOCHS, essence, fitness, run, space, train

ray = pytest.importorskip("ray")
from ray import tune  # noqa: E402
from ray.tune.result import RESULT_DUPLICATE  # noqa: E402


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    temporary = tempfile.mkdtemp(prefix="rt-")  # Ray's sockets need a short path
    os.environ.update(TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", TUNE_GLOBAL_CHECKPOINT_S="0", RAY_USAGE_STATS_ENABLED="0")
    paths = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent.parent)}}
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=temporary,
        runtime_env=paths,
    )
    yield
    ray.shutdown()
    shutil.rmtree(temporary, ignore_errors=True)


class Training(tune.Trainable):  # type: ignore[misc]
    """Reports the fitness of its parameters, epoch by epoch, and ends as the real one does."""

    scratch: Path

    def setup(self, config: dict[str, Any]) -> None:
        self.number, self.params, self.epoch = config["number"], config["params"], 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self.epoch == EPOCHS:
            return {RESULT_DUPLICATE: True}
        self.epoch += 1
        return self.reported(fitness(self.params, self.epoch))

    def reported(self, value: float) -> dict[str, Any]:
        return {"epoch": self.epoch, "fitness": value, "record": {"metrics": {"mAP50": 0.5}}, "done": False}


class Fails(Training):
    """Trial 1 runs out of memory, trial 2 diverges."""

    def step(self) -> dict[str, Any]:
        result = super().step()
        if self.number == 1 and self.epoch == 2:
            return {"failed": "CUDA out of memory", "done": True}
        return self.reported(math.nan) if self.number == 2 and self.epoch == 2 else result


class Diverges(Training):
    """Every epoch of every trial; it notes each."""

    def step(self) -> dict[str, Any]:
        result = super().step()
        with (self.scratch / "epochs").open("a") as noted:
            noted.write(f"{self.number}:{self.epoch} ")
        return {**result, "fitness": math.nan}


class Dies(Training):
    """Trial 0's process dies once and trial 1's every time; started again, both replay all their epochs."""

    def step(self) -> dict[str, Any]:
        died = self.scratch / f"died-{self.number}"
        if self.epoch == 2 and (self.number == 1 or not died.exists()):
            died.touch()
            os._exit(1)
        return super().step()


class ClosesInTrial1(StudyScheduler):
    """As Ctrl-C would."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        self._study.closing = self._study.closing or trial.config["number"] == 1
        return super().on_trial_result(tune_controller, trial, result)


def tuned(
    study: Study,
    training: type[Training],
    scratch: Path,
    concurrent: int = 2,
    scheduler: type[StudyScheduler] = StudyScheduler,
) -> None:
    trainable = tune.with_resources(type("T", (training,), {"scratch": scratch}), {"cpu": 1})
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(study, max_concurrent=concurrent),
            scheduler=scheduler(study),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="run",
            storage_path=str(scratch),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()


def curve(view: TrialView, epochs: int) -> dict[int, float]:
    return {epoch: fitness(view.params, epoch) for epoch in range(1, epochs + 1)}


@pytest.mark.usefixtures("cluster")
def test_every_ending_reaches_the_study(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", space(trials=12)) as study:
        tuned(study, Fails, tmp_path)
    views = read_views(tmp_path / "study")
    assert len(views) == 12
    assert {view.state for view in views} == {"complete", "pruned", "failed"}
    for view in views[3:]:
        assert view.state == "pruned" or view.last_epoch == EPOCHS
        assert view.last_epoch >= 2, "nobody is stopped before the first rung"
        assert view.values == curve(view, view.last_epoch), "the whole curve, every epoch once, the last one included"
        assert view.best_fitness == max(view.values.values())
    assert (views[0].state, views[0].last_epoch) == ("complete", EPOCHS), "the baseline"
    assert (views[1].state, views[1].reason) == ("failed", "CUDA out of memory")
    assert (views[2].state, views[2].reason) == ("failed", "the fitness was nan at epoch 2")
    assert views[1].values == curve(views[1], 1)
    assert views[2].values == curve(views[2], 1)
    assert list(tmp_path.glob("run/*searcher-state*")) == [], "the study is the only record"


@pytest.mark.usefixtures("cluster")
def test_trials_that_all_diverge_stop_the_study_and_train_no_further(tmp_path: Path) -> None:
    watched = space(trials=12).model_copy(update={"failures": Failures(same_error=3)})
    with Study.open(tmp_path / "study", watched) as study:
        tuned(study, Diverges, tmp_path, concurrent=1)
        assert study.broken == "the fitness was nan at epoch 1"
    assert (tmp_path / "epochs").read_text().split() == ["0:1", "1:1", "2:1"]
    assert [view.state for view in read_views(tmp_path / "study")] == ["running"] * 3, "to go on once it is mended"


@pytest.mark.usefixtures("cluster")
def test_a_process_that_dies_is_started_again_and_then_given_up(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", space(trials=2, pruner="none")) as study:
        tuned(study, Dies, tmp_path)
    back, lost = read_views(tmp_path / "study")
    assert (back.state, back.reason) == ("complete", None)
    assert back.values == curve(back, EPOCHS), "replayed epochs count once"
    assert "died" in back.notes["died"]
    assert (lost.state, lost.reason) == ("failed", lost.notes["died"])
    assert "died" in lost.notes["died"]
    assert lost.values == curve(lost, 2)


@pytest.mark.usefixtures("cluster")
def test_one_at_a_time_ray_makes_the_study_that_a_plain_loop_makes(tmp_path: Path) -> None:
    expected = essence(run(tmp_path / "plain", space(trials=8)))
    with Study.open(tmp_path / "ray", space(trials=8)) as study:
        for _ in range(2):
            trial = study.ask()
            assert trial
            train(study, trial)
        left = study.ask()
        assert left
        study.report(left.number, 1, fitness(left.params, 1))
    with Study.open(tmp_path / "ray", space(trials=8)) as study:
        tuned(study, Training, tmp_path, concurrent=1)
        assert essence(study.snapshot()) == expected


@pytest.mark.usefixtures("cluster")
def test_a_closing_study_starts_and_ends_nothing(tmp_path: Path) -> None:
    with Study.open(tmp_path / "study", space(trials=6, pruner="none")) as study:
        tuned(study, Training, tmp_path, concurrent=1, scheduler=ClosesInTrial1)
    assert [view.state for view in read_views(tmp_path / "study")] == ["complete", "running"]


class ClosesWithPausedTrials(StudyScheduler):
    """As a kill would, once three trials wait."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        paused = sum(view.state == "paused" for view in self._study.snapshot())
        self._study.closing = self._study.closing or paused == 3
        return super().on_trial_result(tune_controller, trial, result)


@pytest.mark.usefixtures("cluster")
def test_paused_trials_give_their_place_back_and_go_on_also_with_another_driver(tmp_path: Path) -> None:
    asked = space(trials=14, pruner="asha-promote")
    with Study.open(tmp_path / "study", asked) as study:
        tuned(study, Training, tmp_path / "one", scheduler=ClosesWithPausedTrials)
    left = read_views(tmp_path / "study")
    assert sum(view.state == "paused" for view in left) == 3
    with Study.open(tmp_path / "study", asked) as study:
        tuned(study, Training, tmp_path / "two")
    views = read_views(tmp_path / "study")
    assert len(views) == 14
    assert {view.state for view in views} == {"complete", "pruned"}
    gone_on = [view for view in views if view.promoted]
    assert gone_on
    assert all(view.last_epoch > view.promoted for view in gone_on)
    assert all(view.values == curve(view, view.last_epoch) for view in views), "every epoch once"


class Dearer:
    """What trials have taken: an hour an epoch, and ten once it is fourteen in all."""

    study: Study

    def __init__(self) -> None:
        self.of: dict[int, float] = {}
        self._counted: Counter[int] = Counter()

    def __call__(self, number: int) -> Hours:
        epochs = len(self.study._ledger.trial(number).intermediate_values)
        for _ in range(epochs - self._counted[number]):
            self.of[number] = self.of.get(number, 0.0) + (10 if sum(self.of.values()) >= 14 else 1)
        self._counted[number] = epochs
        return NoHours(cpu_hours=self.of[number])


@pytest.mark.usefixtures("cluster")
def test_trials_that_a_budget_cuts_go_on_when_it_is_raised(tmp_path: Path) -> None:
    asked, hours = space(trials=None, pruner="none", sampler="random", budget=Budget(cpu_hours=50)), Dearer()
    with Study.open(tmp_path / "study", asked, hours=hours) as study:
        hours.study = study
        tuned(study, Training, tmp_path / "one")
        assert study.standing().over
    cut = [view for view in read_views(tmp_path / "study") if view.cut]
    assert cut
    assert 50 <= sum(hours.of.values()) <= 50 + 2 * 10, "an epoch of each"
    assert all(view.state == "complete" for view in read_views(tmp_path / "study") if not view.cut)
    with Study.open(tmp_path / "study", space(trials=4, pruner="none", sampler="random")) as study:
        tuned(study, Training, tmp_path / "two")
    views = read_views(tmp_path / "study")
    assert [view.state for view in views] == ["complete"] * 4
    assert all(view.values == curve(view, EPOCHS) for view in views), "every epoch once"

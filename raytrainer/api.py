"""One study from its space to its best configuration: what `raytrainer tune` and `raytrainer.tune` both call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from raytrainer.config.at_hand import at_hand
from raytrainer.config.check import check
from raytrainer.config.filling import fill_in
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import FLAGS, load_space
from raytrainer.config.problems import raise_for, suggest
from raytrainer.config.remote_data import pin
from raytrainer.config.space import Space
from raytrainer.course import Course
from raytrainer.interrupt import Interrupt
from raytrainer.own_folder import absent, beside, refuse_foreign, refuse_mixture, remove
from raytrainer.trainer.atomic import write_bytes
from raytrainer.trainer.first_batch import try_one_batch

if TYPE_CHECKING:
    import pandas as pd

    from raytrainer.cluster.plan import Plan
    from raytrainer.cluster.session import Session
    from raytrainer.results.best import Best
    from raytrainer.search.budget import Standing
    from raytrainer.search.study import Study
    from raytrainer.search.views import TrialView


class Voice(Protocol):
    """Somewhere to say a line while a study runs."""

    def say(self, text: str) -> None:
        """Say one line."""


Watch = Callable[["Running"], AbstractContextManager[Voice | None]]
"""Shows a study while it runs: entered before the first trial starts, left after the last has ended."""


@dataclass(frozen=True)
class Running:
    """A study that is about to run its trials, for whoever watches it."""

    space: Space
    folder: StudyFolder
    plan: Plan
    snapshot: Callable[[], Sequence[TrialView]]
    dashboard: str | None
    """Address of Ray's dashboard, without a scheme."""
    screen: TextIO
    """Where to show it: standard output itself goes to the driver's log while the study runs."""
    standing: Callable[[], Standing]
    """How the study stands to its end."""


@dataclass(frozen=True)
class Outcome:
    """A study whose trials have ended, or that was interrupted."""

    space: Space
    folder: StudyFolder
    trials: Sequence[TrialView]
    best: Best | None
    interrupted: bool
    broken: str | None = None
    """The error that stopped the study, because trials failed with nothing else; the next start goes on with them."""
    standing: Standing | None = None
    """How the study stands to its budget; None if nobody asked."""

    @property
    def best_settings(self) -> dict[str, Any]:
        """The searched parameters of the best trial; empty if no trial has a fitness.

        Of a population's, those that its lineage began with; best.yaml has the schedule.
        """
        return dict(self.best.trial.lineage[0].values) if self.best else {}

    @property
    def best_fitness(self) -> float | None:
        """Fitness of the best trial; None if no trial has one."""
        return self.best.trial.best_fitness if self.best else None

    @property
    def frame(self) -> pd.DataFrame:
        """One row a trial: number, state, fitness, epochs, parameters, reason, hours of GPUs and CPUs."""
        from raytrainer.results.frame import frame

        return frame(self.folder, self.trials, self.space.subject_to, self.space.objectives)

    @property
    def front(self) -> list[TrialView]:
        """The trials that no other one beats in all objectives, the best first objective first; of one, the best."""
        from raytrainer.search.front import front

        return front(self.trials)


def tune(
    space: str | Path,
    overrides: Sequence[str] = (),
    *,
    fresh: bool = False,
    extend: bool = False,
    address: str | None = None,
    **flags: Any,
) -> Outcome:
    """Search a space: `tune("detr.yaml", trials=32, data="cells.yaml").best_settings`.

    Args:
        space: a space file, or the name of one that is shipped.
        overrides: `key.path=value` strings, as `--set` takes them.
        fresh: start a new study beside one of the same name.
        extend: go on with a study whose space this one only widens.
        address: Ray cluster to join: auto, host:port or ray://host:port; local starts one on this machine, as None does
            unless the environment's RAY_ADDRESS names one.
        flags: what the flags of the command line set: model, data, trials, epochs, seed, name, storage,
            max_concurrent, cpus_per_trial, gpus_per_trial.

    Raises:
        UserError: for every mistake that can be told before a trial starts.
        TypeError: if a flag is unknown.
    """
    return run_study(_load(space, overrides, flags), fresh=fresh, extend=extend, address=address)


def run_study(
    space: Space,
    *,
    fresh: bool = False,
    extend: bool = False,
    address: str | None = None,
    watch: Watch = lambda _: nullcontext(),
) -> Outcome:
    """Check a space, run its study to the end or go on with it, and write down the best configuration.

    Args:
        space: as `load_space` gives it.
        fresh: start a new study beside one of the same name; nothing is deleted.
        extend: go on with a study whose space this one only widens: wider ranges, more choices, new parameters.
        address: Ray cluster to join: auto, host:port or ray://host:port; local starts one on this machine, as None does
            unless the environment's RAY_ADDRESS names one.
        watch: shows the study while it runs.

    Raises:
        UserError: for every mistake that can be told before a trial starts.
    """
    from raytrainer.cluster.address import CLIENT, asked_for
    from raytrainer.cluster.shipped import check_storage

    address = asked_for(address)
    check_storage(space, address)
    if not address.startswith(CLIENT):
        return _run_here(space, address, fresh=fresh, extend=extend, watch=watch)
    from raytrainer.on_head import run_on_head

    return run_on_head(space, address, {"fresh": fresh, "extend": extend, "watch": watch})


def _run_here(space: Space, address: str, *, fresh: bool, extend: bool, watch: Watch) -> Outcome:
    space = pin(space)
    raise_for(check(space))
    from raytrainer.search.sampler_arguments import check_sampler

    check_sampler(space)
    space = beside(space) if fresh else space
    folder = StudyFolder(Path(space.storage.folder).resolve() / space.name)
    from raytrainer.cluster.address import LOCAL
    from raytrainer.cluster.gathered import gathered
    from raytrainer.cluster.output import OutputTo
    from raytrainer.cluster.session import session
    from raytrainer.results.cost import hours_of
    from raytrainer.search.study import Study

    refuse_foreign(folder, space)
    made = absent(folder)
    space = space if address == LOCAL else gathered(space, folder)
    study = Study.open(folder.path, space, extend=extend, hours=partial(hours_of, folder))
    try:
        with study, OutputTo(folder.log) as output, output.before() as screen:
            refuse_mixture(study, space)
            write_bytes(folder.space, space.to_yaml().encode())
            if study.standing().over:  # no cluster is needed for that
                return _ended(study, space, Course(study, space, None))
            with session(address, folder.log) as starting:
                tried = try_one_batch(space).left_out if _tried_here(space) else None
                import_module("raytrainer.cluster.run")  # Ray Tune takes a second, while the node takes several
                return _run(study, space, starting.result(), watch, screen, tried)
    finally:
        if not study.snapshot():  # a start that failed is no study
            remove(made)


def _load(space: str | Path, overrides: Sequence[str], flags: Mapping[str, Any]) -> Space:
    from raytrainer.demo import materialise

    keys = {flag.removeprefix("--").replace("-", "_"): key for key, flag in FLAGS.items()}
    if unknown := next((name for name in flags if name not in keys), None):
        raise TypeError(f"tune() has no argument {unknown!r}{suggest(unknown, keys)}")
    return fill_in(materialise(load_space(space, overrides, {keys[name]: value for name, value in flags.items()})))


def _tried_here(space: Space) -> bool:
    """Whether the first batch is tried in this process instead of a trial's.

    A trial downloads nothing, and one rank of several cannot train alone.
    """
    return space.resources.world_size > 1 or not at_hand(space)


def _run(
    study: Study, space: Space, cluster: Session, watch: Watch, screen: TextIO, tried: Mapping[str, str] | None
) -> Outcome:
    from raytrainer.cluster.first_node import plan_or_wait
    from raytrainer.cluster.node import this_driver
    from raytrainer.cluster.run import run

    folder = study.folder
    planned = plan_or_wait(space, cluster, lambda text: print(text, file=screen))

    with watch(Running(space, folder, planned, study.snapshot, cluster.dashboard, screen, study.standing)) as voice:
        course = Course(study, space, voice)
        if tried is not None:
            course.first_batch(tried)
        with Interrupt(course.interrupt):
            run(
                study,
                _sent(space, folder, cluster),
                folder,
                planned,
                stop=course.stop,
                on_trial_end=course.sweep,
                on_first_batch=None if tried is not None else course.first_batch,
                driver=None if cluster.own else this_driver(space, folder),
                tell=course.tell,
            )
    return _ended(study, space, course)


def _ended(study: Study, space: Space, course: Course) -> Outcome:
    from raytrainer.results.best import write_best
    from raytrainer.results.front_files import write_front

    course.sweep()  # also what an earlier driver left, or kept by another `keep`
    trials = study.snapshot()
    best = write_best(study.folder, space, trials)
    write_front(study.folder, space, trials, study.folder.front)
    return Outcome(space, study.folder, trials, best, course.stop.is_set(), study.broken, study.standing())


def _sent(space: Space, folder: StudyFolder, cluster: Session) -> Space:
    """The space for the processes of the trials: without the password of the study, which they never open."""
    from raytrainer.cluster.gathered import gathered

    space = space.model_copy(update={"storage": space.storage.without_password()})
    return space if cluster.own else gathered(space, folder, by_name=True)  # what the first batch downloaded, too

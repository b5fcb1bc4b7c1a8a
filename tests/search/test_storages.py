"""A study in SQLite, PostgreSQL and Redis: as in its file, and with one driver at a time."""

from __future__ import annotations

import multiprocessing
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import optuna
import pytest

from raytrainer.config.layout import StudyFolder
from raytrainer.config.problems import UserError
from raytrainer.config.space import Categorical, Float, Space
from raytrainer.config.storage import Storage
from raytrainer.results.saved import read_study
from raytrainer.search import redis_disk
from raytrainer.search.reading import holder_at, names_at, read_record
from raytrainer.search.study import Study
from search import servers
from search.studies import MIXED, PLAIN, drive, essence, run, space, train

FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[servers.Server]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[servers.Server]:
    with servers.redis() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/studies.db"
    return str(request.getfixturevalue(request.param).url)


Asking = Callable[..., Space]


@pytest.fixture
def asked(url: str, tmp_path: Path) -> Asking:
    """A space whose study has a name of its own at the URL."""

    def make(*parameters: Any, **search: Any) -> Space:
        storage = Storage.parse({"folder": str(tmp_path), "study": url})
        return space(*parameters, **search).model_copy(update={"name": tmp_path.name, "storage": storage})

    return make


def in_a_child(target: Callable[[], None]) -> BaseProcess:
    child = FORK.Process(target=target)
    child.start()
    return child


def test_a_study_is_what_it_is_in_a_file(asked: Asking, tmp_path: Path) -> None:
    assert essence(run(tmp_path / "there", asked(trials=6))) == essence(run(tmp_path / "file", space(trials=6)))
    record = read_record(StudyFolder(tmp_path), asked().storage, tmp_path.name)
    assert record
    assert record.trials == run(tmp_path / "there", asked(trials=6)), "what was read is what is read"
    assert not (tmp_path / "there" / "study.journal").exists()
    with Study.open(tmp_path / "there", asked(trials=8)) as study:
        drive(study)
        assert essence(study.snapshot()) == essence(run(tmp_path / "whole", space(trials=8)))


def test_optuna_and_its_dashboard_read_it(asked: Asking, url: str, tmp_path: Path) -> None:
    views = run(tmp_path, asked(MIXED, trials=4, pruner="none"))
    storage: Any = url.replace("postgresql:", "postgresql+psycopg:")
    if url.startswith("redis"):
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalRedisBackend(url))
    study = optuna.load_study(study_name=tmp_path.name, storage=storage)
    assert [trial.params for trial in study.trials] == [view.params for view in views]
    assert [trial.intermediate_values for trial in study.trials] == [view.values for view in views]
    assert study.best_value == max(view.best_fitness or 0 for view in views)


def test_a_second_driver_is_refused_while_the_first_lives(asked: Asking, tmp_path: Path) -> None:
    ready, end = FORK.Event(), FORK.Event()

    def first() -> None:
        with Study.open(tmp_path / "one", asked()) as study:
            study.ask()
            ready.set()
            end.wait(60)

    child = in_a_child(first)
    assert ready.wait(60)
    with pytest.raises(UserError, match=rf"is being run by process {child.pid} on "):
        Study.open(tmp_path / "another folder", asked())
    other = asked().model_copy(update={"name": f"{tmp_path.name}-2"})
    with Study.open(tmp_path / "another study", other) as study:
        assert study.ask()
    url = asked().storage.url
    assert url
    if url.kind != "sqlite":
        assert (holder_at(url, tmp_path.name) or "").startswith(f"process {child.pid} on ")
    end.set()
    child.join(60)
    assert holder_at(url, tmp_path.name) is None
    with Study.open(tmp_path / "another folder", asked()) as study:
        assert [trial.number for trial in study.adopt()] == [0]


def test_killed_drivers_leave_no_lock_and_lose_nothing(asked: Asking, tmp_path: Path) -> None:
    undisturbed = essence(run(tmp_path / "whole", space(trials=12)))
    draw, kills = random.Random(4), 0
    for _ in range(6):
        begun = FORK.Event()

        def child(begun: Any = begun) -> None:
            with Study.open(tmp_path / "killed", asked(trials=12)) as study:
                begun.set()
                drive(study)

        process = in_a_child(child)
        assert begun.wait(60)
        time.sleep(draw.random() / 10)
        process.kill()  # of one that has come to the end of the study there is nothing left to kill
        process.join(60)
        kills += process.exitcode == -signal.SIGKILL
    with Study.open(tmp_path / "killed", asked(trials=12)) as study:
        drive(study)
        assert essence(study.snapshot()) == undisturbed
    assert kills >= 2


def test_a_wider_space_goes_on(asked: Asking, tmp_path: Path) -> None:
    """Even with more choices, which Optuna refuses in one study, and seen by Optuna as trials of that study."""
    run(tmp_path, asked(MIXED, trials=4))
    wider = {**MIXED, "optimizer": Categorical(choices=["Adam", "SGD", "AdamW", "MuSGD"], default="AdamW")}
    with pytest.raises(UserError, match="--extend takes them"):
        Study.open(tmp_path, asked(wider, trials=12))
    with Study.open(tmp_path, asked(wider, trials=12), extend=True) as study:
        drive(study)
        views = study.snapshot()
    assert "Adam" in {view.params["optimizer"] for view in views[4:]}
    assert essence(run(tmp_path, asked(wider, trials=12))) == essence(views)


def test_status_needs_no_folder(asked: Asking, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    views = run(tmp_path / "gone", asked(PLAIN, trials=2))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    saved = read_study(tmp_path.name, url)
    assert essence(list(saved.trials)) == essence(views)
    assert (saved.space, saved.driver) == (asked(PLAIN, trials=2), None)
    with pytest.raises(UserError, match=rf"no study 'nothing' .*{tmp_path.name}") as caught:
        read_study("nothing", url)
    assert servers.QUOTED not in str(caught.value)


def test_a_study_without_a_trial_is_not_left_behind(asked: Asking, tmp_path: Path) -> None:
    Study.open(tmp_path, asked()).close()
    url = asked().storage.url
    assert url
    assert tmp_path.name not in names_at(url)


def test_a_database_that_is_gone_and_back_loses_nothing(
    postgresql: servers.Server, redis: servers.Server, tmp_path: Path
) -> None:
    undisturbed = essence(run(tmp_path / "file", space(trials=4)))
    for server in (postgresql, redis):
        storage = Storage.parse({"folder": str(tmp_path), "study": server.url})
        asked = space(trials=4).model_copy(update={"name": "gone", "storage": storage})
        said: list[str] = []

        def told(text: str, said: list[str] = said, server: servers.Server = server) -> None:
            said.append(text)
            if len(said) == 1:
                server.start()

        with Study.open(tmp_path / str(server.port), asked) as study:
            study.tell = told
            trial = study.ask()
            assert trial
            server.stop()
            train(study, trial)
            drive(study)
            assert essence(study.snapshot()) == undisturbed
        record = read_record(StudyFolder(tmp_path), storage, "gone")
        assert record
        assert essence(record.trials) == undisturbed
        assert servers.QUOTED not in " ".join(said)
        assert ["cannot be written" in said[0], "can be written again" in said[1]] == [True, True]


def test_a_driver_that_was_cut_off_and_replaced_is_refused(
    postgresql: servers.Server, redis: servers.Server, tmp_path: Path
) -> None:
    """Its connection was lost, and another driver has come and gone: what it holds in memory is no longer the truth."""
    for server in (postgresql, redis):
        storage = Storage.parse({"folder": str(tmp_path), "study": server.url})
        asked = space(trials=8).model_copy(update={"name": "replaced", "storage": storage})
        cut_off = Study.open(tmp_path / f"{server.port}-one", asked)
        trial = cut_off.ask()
        assert trial
        cut(server)
        with Study.open(tmp_path / f"{server.port}-two", asked) as study:
            (adopted,) = study.adopt()
            train(study, adopted)
        with pytest.raises(UserError, match="another driver has gone on with it"):
            train(cut_off, trial)
        with pytest.raises(UserError, match="another driver has gone on with it"):
            cut_off.close()


def cut(server: servers.Server) -> None:
    """Ends what the server knows of its clients, as a network does that loses them for long."""
    if "redis" in server.url:
        redis_disk.redis.Redis.from_url(server.url).delete("raytrainer:driver:replaced")
        return
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")


def test_any_beginning_of_an_sqlite_study_goes_on(tmp_path: Path) -> None:
    """A kill between any two transactions; within one, SQLite itself undoes it."""
    undisturbed = essence(run(tmp_path / "file", space(trials=4)))
    database, copies = tmp_path / "studies.db", []
    storage = Storage.parse({"folder": str(tmp_path), "study": f"sqlite:///{database}"})
    asked = space(trials=4).model_copy(update={"storage": storage})
    with Study.open(tmp_path / "whole", asked) as study:
        commit = study._ledger._writer._disk.storage.set_trial_intermediate_value  # type: ignore[attr-defined]

        def copied(*args: Any) -> None:
            commit(*args)
            copies.append(tmp_path / f"{len(copies)}.db")
            with sqlite3.connect(database) as source, sqlite3.connect(copies[-1]) as target:
                source.backup(target)

        study._ledger._storage.set_trial_intermediate_value = copied  # type: ignore[method-assign]
        drive(study)
    for copy in copies[::3]:
        there = Storage.parse({"folder": str(tmp_path), "study": f"sqlite:///{copy}"})
        assert essence(run(tmp_path / copy.stem, asked.model_copy(update={"storage": there}))) == undisturbed


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:////proc/nothing/studies.db", "."),
        ("postgresql://me@127.0.0.1:1/postgres", "cannot be opened: connection .*refused"),
        ("redis://127.0.0.1:1/0", "cannot be opened: .*refused"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_told_at_once(url: str, told: str, tmp_path: Path) -> None:
    asked = space().model_copy(update={"storage": Storage.parse(url)})
    with pytest.raises((UserError, OSError), match=told):
        Study.open(tmp_path, asked)
    Study.open(tmp_path, space()).close()


def test_a_wrong_password_is_told_and_not_shown(
    postgresql: servers.Server, redis: servers.Server, tmp_path: Path
) -> None:
    for server in (postgresql, redis):
        url = server.url.replace(servers.QUOTED, "wr0ng")
        with pytest.raises(UserError, match="cannot be opened") as caught:
            Study.open(tmp_path, space().model_copy(update={"storage": Storage.parse(url)}))
        assert "wr0ng" not in str(caught.value)


def test_the_lease_in_redis_is_renewed(redis: servers.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_disk, "LEASE_SECONDS", 1)
    storage = Storage.parse({"folder": str(tmp_path), "study": redis.url})
    asked = space({"lr0": Float(low=1e-5, high=1e-1)}).model_copy(update={"name": "leased", "storage": storage})
    with Study.open(tmp_path / "one", asked):
        time.sleep(2.5)
        with pytest.raises(UserError, match="is being run by"):
            Study.open(tmp_path / "two", asked)

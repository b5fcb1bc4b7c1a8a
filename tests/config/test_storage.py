"""`storage:`: a folder, a URL, or both; and a password that is used and never shown."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from raytrainer.config.check import check
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space
from raytrainer.config.storage import DRIVERS, PASSWORD, Storage, StudyUrl

SPACE = "model: yolo11n.pt\ndata: coco8.yaml\n"
SECRET = "s3:cr/et@"
QUOTED = "s3%3Acr%2Fet%40"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PASSWORD, raising=False)
    path = tmp_path / "cells.yaml"
    path.write_text(SPACE)
    return path


@pytest.mark.parametrize(
    ("asked", "folder", "url", "plain"),
    [
        ("studies", "studies", None, "studies"),
        ("/data/my studies", "/data/my studies", None, "/data/my studies"),
        ("postgresql://me@db/studies", "runs", "postgresql://me@db/studies", "postgresql://me@db/studies"),
        ("postgres://me@db:5433/s?sslmode=require", "runs", "postgresql://me@db:5433/s?sslmode=require", ...),
        ("postgresql+psycopg://db/s", "runs", "postgresql://db/s", ...),
        (f"postgresql://me:{QUOTED}@db/s", "runs", "postgresql://me@db/s", ...),
        ("postgresql:///s?host=/var/run/postgresql", "runs", "postgresql:///s?host=/var/run/postgresql", ...),
        (f"redis://:{QUOTED}@localhost:6379/1", "runs", "redis://localhost:6379/1", ...),
        ("rediss://me@[::1]:6379/0", "runs", "rediss://me@[::1]:6379/0", ...),
        ({"folder": "there", "study": "redis://db"}, "there", "redis://db", {"folder": "there", "study": "redis://db"}),
        ({"folder": "there"}, "there", None, "there"),
        ({}, "runs", None, "runs"),
    ],
)
def test_a_folder_a_url_or_both(asked: Any, folder: str, url: str | None, plain: Any, file: Path) -> None:
    file.write_text(SPACE + yaml.safe_dump({"storage": asked}))
    storage = load_space(file).storage
    assert (storage.folder, storage.url and str(storage.url)) == (folder, url)
    assert storage.plain() == (url if plain is ... else plain)
    assert Storage.parse(storage.plain()).plain() == storage.plain()
    if not isinstance(asked, dict):
        assert load_space(file, flags={"storage": asked}).storage == storage


def test_a_relative_database_is_in_the_working_folder(tmp_path: Path) -> None:
    url = StudyUrl.parse("sqlite:///my studies.db")
    assert (url.path, str(url)) == (f"{tmp_path}/my studies.db", f"sqlite:///{tmp_path}/my%20studies.db")
    assert StudyUrl.parse("sqlite:////data/s.db").path == "/data/s.db"
    assert StudyUrl.parse(str(url)) == url


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("mysql://me@db/s", "no study can be kept at mysql://me@db/s"),
        ("postgresq://me:s3cret@db/s", "postgresq://me:\\*\\*\\*@db/s, did you mean 'postgresql'"),
        ("postgresql+pg8000://db/s", "names a driver of its own; expected postgresql://"),
        ("sqlite://", "expected the file of an SQLite database"),
        ("sqlite:///:memory:", "expected the file of an SQLite database"),
        ("sqlite://host/s.db", "expected the file of an SQLite database"),
        ("redis:///0", "names no host"),
        ("postgresql://me@db/s?password=s3cret", "a password stands before the host"),
        ({"folder": "redis://db"}, "folder is a path; a URL stands under study"),
        ({"studdy": "redis://db"}, "has no key 'studdy', did you mean 'study'"),
        (["a", "b"], "expected text"),
        ("a\0b", "expected a path, got one with a null byte"),
    ],
)
def test_what_cannot_be_one_is_told(asked: Any, told: str, file: Path) -> None:
    file.write_text(SPACE + yaml.safe_dump({"storage": asked}))
    with pytest.raises(UserError, match=rf"cells\.yaml:3: storage.*: .*{told}") as caught:
        load_space(file)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("override", ["storage=mysql://me:s3cret@db/s", "storage.x.study=redis://me:s3cret@db"])
def test_a_refused_flag_does_not_tell_its_password(override: str, file: Path) -> None:
    with pytest.raises(UserError, match=r"me:\*\*\*@db") as caught:
        load_space(file, [override])
    assert "s3cret" not in str(caught.value)


def test_a_password_is_used_and_never_shown(file: Path) -> None:
    file.write_text(SPACE + f"storage: postgresql://me:{QUOTED}@db/s\n")
    space = load_space(file)
    url = space.storage.url
    assert url is not None
    assert (url.password, url.connection()) == (SECRET, f"postgresql://me:{QUOTED}@db/s")
    shown = [str(url), repr(url), repr(space), str(space), space.to_yaml(), space.model_dump_json(), str(space.storage)]
    assert not [text for text in shown if "s3" in text]
    stripped = space.model_copy(update={"storage": space.storage.without_password()})
    assert b"s3" not in pickle.dumps(stripped)
    assert stripped == space


def test_the_environment_has_the_password_that_a_written_space_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    given = StudyUrl.parse("postgresql://me:mine@db/s")
    written, nobody, redis = map(StudyUrl.parse, (str(given), "postgresql://db/s", "redis://db:6379/0"))
    assert written.connection() == "postgresql://me@db/s"
    monkeypatch.setenv(PASSWORD, SECRET)
    assert written.connection() == f"postgresql://me:{QUOTED}@db/s"
    assert redis.connection() == f"redis://:{QUOTED}@db:6379/0"
    assert nobody.connection() == "postgresql://db/s", "whose password would it be?"
    assert given.connection() == "postgresql://me:mine@db/s"


@pytest.mark.parametrize(("kind", "extra"), [("postgresql", "postgresql"), ("redis", "redis"), ("rediss", "redis")])
def test_a_driver_that_is_not_there_is_named_with_its_extra(
    kind: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DRIVERS, kind, ("no_such_driver", extra))
    space = Space(model="yolo11n.yaml", data="coco8.yaml", storage=f"{kind}://me@db/s")  # type: ignore[arg-type]
    told = [str(problem) for problem in check(space) if problem.key == "storage"]
    assert told == [f"storage: {kind}://me@db/s needs the package no_such_driver: pip install 'raytrainer[{extra}]'"]

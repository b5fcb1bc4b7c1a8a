"""A storage that is slow, read-only, gone and back: nobody waits for ever, and nothing is lost."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from raytrainer.search import ledger, writer
from raytrainer.search.disk import MemoryDisk
from raytrainer.search.reading import read_views
from raytrainer.search.study import Study
from raytrainer.search.writer import NotWritten, Writer
from search.studies import EPOCHS, drive, essence, run, space, train


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(writer, "LONGEST_PAUSE", 0.05)


def test_reports_do_not_wait_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gathers while one write is under way goes into the next one, all together."""
    undisturbed = essence(run(tmp_path / "whole", space(trials=3)))
    turn, writes, write = threading.Semaphore(1000), [0], os.write
    monkeypatch.setattr(ledger, "PATIENCE", 0.05)

    def slow(file: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{file}").endswith("study.journal"):
            turn.acquire()
            writes[0] += 1
        return write(file, data)

    with Study.open(tmp_path / "slow", space(trials=3)) as study:
        first = study.ask()
        assert first
        monkeypatch.setattr(os, "write", slow)
        turn = threading.Semaphore(0)  # no write gets through from here on
        train(study, first)
        assert study.snapshot()[0].last_epoch == EPOCHS, "all reports were taken"
        assert study.behind
        assert not read_views(tmp_path / "slow")[0].values
        turn.release(1000)
        drive(study)
        assert essence(study.snapshot()) == undisturbed
    assert essence(read_views(tmp_path / "slow")) == undisturbed
    assert writes[0] < 3 * EPOCHS


def test_a_file_system_that_is_gone_and_back(tmp_path: Path) -> None:
    undisturbed = essence(run(tmp_path / "whole", space(trials=3)))
    said: list[str] = []
    folder, away = tmp_path / "study", tmp_path / "away"

    def told(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            away.rename(folder)

    with Study.open(folder, space(trials=3)) as study:
        study.tell = told
        first = study.ask()
        assert first
        folder.rename(away)
        train(study, first)
        drive(study)
    assert essence(read_views(folder)) == undisturbed
    assert "cannot be written (No such file or directory)" in said[0]
    assert "can be written again" in said[1]


def test_a_storage_that_stays_away_keeps_nobody_from_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did not get is in the trials' own records, and is told again at the next start."""
    undisturbed = essence(run(tmp_path / "whole", space(trials=2, pruner="none")))
    monkeypatch.setattr(ledger, "PATIENCE", 0.05)
    monkeypatch.setattr(ledger, "LAST_PATIENCE", 0.2)
    write, read_only = os.write, threading.Event()

    def refused(file: int, data: bytes) -> int:
        if read_only.is_set() and os.readlink(f"/proc/self/fd/{file}").endswith("study.journal"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return write(file, data)

    monkeypatch.setattr(os, "write", refused)
    with Study.open(tmp_path / "study", space(trials=2, pruner="none")) as study:
        first = study.ask()
        assert first
        assert not study.behind
        read_only.set()
        train(study, first)
        study.closing = True
    read_only.clear()
    assert [view.state for view in read_views(tmp_path / "study")] == ["running"]
    assert essence(run(tmp_path / "study", space(trials=2, pruner="none"))) == undisturbed


def test_a_write_that_got_through_unheard_is_not_made_twice() -> None:
    disk = MemoryDisk()
    tried: list[bool] = []

    def work(again: bool) -> str:
        tried.append(again)
        if not again:
            raise ConnectionResetError("lost after it was carried out")
        return "done"

    told: list[str] = []
    writing = Writer(disk, "there", told.append)
    assert writing.submit(work).result(10) == "done"
    assert tried == [False, True]
    assert told[0] == "there cannot be written (lost after it was carried out): the study waits, nothing is lost"
    assert writing.end(10)


@pytest.mark.parametrize("broken", [ValueError("a bug"), OSError("gone")])
def test_what_is_no_trouble_ends_the_writer_and_trouble_does_at_the_end(broken: Exception) -> None:
    def work(_: bool) -> Any:
        raise broken

    writing = Writer(MemoryDisk(), "there", lambda _: None)
    done = writing.submit(work)
    if isinstance(broken, ValueError):
        assert done.exception(10) is broken
        with pytest.raises(ValueError, match="a bug"):
            writing.submit(lambda _: None)
        assert not writing.end(1)
    else:
        time.sleep(0.05)
        assert not done.done()
        assert not writing.end(0.1)
        assert isinstance(done.exception(10), NotWritten)

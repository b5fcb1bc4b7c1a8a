"""Whose study it is when a host vanishes, or the file system does and comes back."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.problems import UserError
from raytrainer.search import ledger, writer
from raytrainer.search.journal import Journal
from raytrainer.search.lock import LOCK
from raytrainer.search.reading import read_views
from raytrainer.search.study import Study
from search.studies import drive, essence, run, space, train

FORK = multiprocessing.get_context("fork")
REPORT = {"op_code": 7, "trial_id": 0, "step": 1, "intermediate_value": 0.5}


def test_the_study_of_a_host_that_is_gone_for_good_can_be_had(tmp_path: Path) -> None:
    """A file server keeps the lock of a host that it never hears of again; here another process does."""
    undisturbed, held = essence(run(tmp_path / "whole", space(trials=2))), FORK.Event()
    folder = tmp_path / "study"
    folder.mkdir()

    def vanished() -> None:
        with (folder / LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write("process 4711 on vanished-host")
            file.flush()
            held.set()
            signal.pause()

    child = FORK.Process(target=vanished)
    child.start()
    assert held.wait(60)
    told = rf"is being run by process 4711 on vanished-host. If vanished-host is gone for good, delete {folder / LOCK} "
    with pytest.raises(UserError, match=told):
        Study.open(folder, space(trials=2))
    (folder / LOCK).unlink()
    assert essence(run(folder, space(trials=2))) == undisturbed
    child.kill()
    child.join(60)


def test_of_a_host_that_can_be_looked_at_nothing_has_to_be_deleted(tmp_path: Path) -> None:
    with Study.open(tmp_path, space()), pytest.raises(UserError, match=rf"by process {os.getpid()} on [^ ]+$"):
        Study.open(tmp_path, space())


def test_a_driver_whose_lock_was_deleted_waits_and_is_refused_once_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE", 0.1)
    monkeypatch.setattr(writer, "LONGEST_PAUSE", 0.05)
    said: list[str] = []
    cut_off = Study.open(tmp_path, space(trials=2))
    cut_off.tell = said.append
    trial = cut_off.ask()
    assert trial
    (tmp_path / LOCK).unlink()
    train(cut_off, trial)
    assert cut_off.behind
    assert read_views(tmp_path)[0].state == "running"
    assert "cannot be written (No such file or directory): the study waits" in said[0]
    other = FORK.Process(target=run, args=(tmp_path, space(trials=2)))
    other.start()
    other.join(60)
    ended = read_views(tmp_path)
    assert [view.state == "running" for view in ended] == [False, False]
    with pytest.raises(UserError, match="another driver has gone on with it"):
        drive_on(cut_off)
    with pytest.raises(UserError, match="another driver has gone on with it"):
        cut_off.close()
    assert read_views(tmp_path) == ended


def drive_on(study: Study) -> None:
    """As a driver that waits for its storage."""
    while study.behind:
        time.sleep(0.01)


def test_a_driver_takes_its_lock_again_when_the_file_system_is_back(tmp_path: Path) -> None:
    """All its files are others then."""
    undisturbed = essence(run(tmp_path / "whole", space(trials=2)))
    folder, away = tmp_path / "study", tmp_path / "away"
    with Study.open(folder, space(trials=2)) as study:
        trial = study.ask()
        assert trial
        folder.rename(away)
        shutil.copytree(away, folder)
        train(study, trial)
        drive(study)
        assert essence(study.snapshot()) == undisturbed
        with pytest.raises(UserError, match="is being run by"):
            Study.open(folder, space(trials=2))
    assert essence(read_views(folder)) == undisturbed


@pytest.mark.parametrize("lost", ["the file system", "the sync"])
def test_what_a_disk_has_forgotten_is_written_again(lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that no sync has confirmed may not be there when a disk in trouble is well again."""
    path, content = tmp_path / "study.journal", b""
    journal = Journal(path)
    for step in range(4):
        journal.append_logs([{**REPORT, "step": step}, *([{"op_code": 4}] if not step else [])])
        journal.commit()
        content = content or path.read_bytes()
    assert len(path.read_bytes()) > len(content)
    whole = path.read_bytes()

    def forget(*_: Any) -> None:
        path.write_bytes(content)
        raise OSError(5, "Input/output error")

    if lost == "the sync":
        monkeypatch.setattr(os, "fsync", forget)
        journal.append_logs([{"op_code": 4}])
        with pytest.raises(OSError, match="Input/output error"):
            journal.commit()
        monkeypatch.undo()
    else:
        path.rename(tmp_path / "away")
        path.write_bytes(content)
        journal.append_logs([{"op_code": 4}])
    journal.commit()
    journal.close()
    assert path.read_bytes() == whole + b'{"op_code":4}\n'

"""The study's file and its lock: no kill, no full disk and no second driver may spoil them."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import resource
import signal
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from raytrainer.config.problems import UserError
from raytrainer.search import ledger, writer
from raytrainer.search.journal import Journal, cut_torn_line
from raytrainer.search.lock import DriverLock
from raytrainer.search.reading import read_views
from raytrainer.search.study import Study
from raytrainer.search.views import TrialView
from search.studies import EPOCHS, drive, essence, run, space, train

WHOLE = b'{"op_code":0}\n{"op_code":1}\n'
FORK = multiprocessing.get_context("fork")


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"", b""),
        (WHOLE, WHOLE),
        (WHOLE + b'{"op_co', WHOLE),
        (WHOLE + b'{"op_code":2}', WHOLE),  # whole, but not yet acknowledged
        (WHOLE + b"\0" * 5000, WHOLE),
        (b'{"op', b""),
    ],
)
def test_an_unfinished_line_is_cut(tmp_path: Path, content: bytes, kept: bytes) -> None:
    path = tmp_path / "study.journal"
    path.write_bytes(content)
    assert cut_torn_line(path) == len(content) - len(kept)
    assert path.read_bytes() == kept


def test_a_study_that_is_not_there_has_no_torn_line(tmp_path: Path) -> None:
    assert cut_torn_line(tmp_path / "study.journal") == 0


def test_any_beginning_of_the_file_is_a_study_that_goes_on(tmp_path: Path) -> None:
    """Power loss in imitation: whatever prefix of the writes survived, the study ends as the undisturbed one."""
    undisturbed = essence(run(tmp_path / "whole", space(trials=8)))
    written = (tmp_path / "whole" / "study.journal").read_bytes()
    assert len(written) > 5000
    for length in range(0, len(written), len(written) // 37):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / "study.journal").write_bytes(written[:length])
        assert essence(run(folder, space(trials=8))) == undisturbed, length


def test_a_reader_does_not_mind_an_unfinished_line(tmp_path: Path) -> None:
    views = run(tmp_path, space(trials=2))
    path = tmp_path / "study.journal"
    path.write_bytes(path.read_bytes() + b'{"op_code":7,"wor')
    before = path.read_bytes()
    assert read_views(tmp_path) == views
    assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        read_views(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda lines: [*lines[:3], b'{"op_code":7,"worker\n', *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"[7]\n", *lines[3:]], 4),
        (lambda lines: [*lines[:3], b'{"worker_id":"a"}\n', *lines[3:], b'{"op'], 4),
        (lambda lines: [b"not a journal\n", *lines], 1),
        (lambda _: [b"not a journal, nor does it end"], 1),
        (lambda _: [b"not a journal\n", b"nor does it end"], 1),
        (lambda lines: [*lines, b'{"op_code":99}\n'], -1),
    ],
)
def test_damage_before_the_last_line_is_told_and_nothing_is_cut(
    tmp_path: Path, spoil: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    run(tmp_path, space(trials=2))
    path = tmp_path / "study.journal"
    spoilt = spoil(path.read_bytes().splitlines(keepends=True))
    path.write_bytes(b"".join(spoilt))
    before = path.read_bytes()
    told = f"{path}:{line % (len(spoilt) + 1)}: cannot be read as a study: this line is damaged"
    with pytest.raises(UserError, match=f"^{re.escape(told)}"):
        Study.open(tmp_path, space(trials=2))
    assert path.read_bytes() == before
    DriverLock(tmp_path).release()


def in_a_child(target: Callable[[], None]) -> BaseProcess:
    child = FORK.Process(target=target)
    child.start()
    return child


def test_a_second_driver_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    ready, end = FORK.Event(), FORK.Event()

    def first() -> None:
        with Study.open(tmp_path, space()) as study:
            study.ask()
            ready.set()
            end.wait(60)

    child = in_a_child(first)
    assert ready.wait(60)
    with pytest.raises(UserError, match=rf"is being run by process {child.pid} on "):
        Study.open(tmp_path, space())
    assert len(read_views(tmp_path)) == 1, "a look at it is free"
    end.set()
    child.join(60)
    with Study.open(tmp_path, space()) as study:
        assert [trial.number for trial in study.adopt()] == [0]


def test_a_killed_driver_leaves_no_lock(tmp_path: Path) -> None:
    ready = FORK.Event()

    def first() -> None:
        with Study.open(tmp_path, space()) as study:
            study.ask()
            ready.set()
            signal.pause()

    child = in_a_child(first)
    assert ready.wait(60)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join(60)
    with Study.open(tmp_path, space()) as study:
        assert [trial.number for trial in study.adopt()] == [0]


def open_files(folder: Path) -> list[int]:
    """Descriptors that this process has open in a folder."""
    listed = [(int(entry.name), entry) for entry in Path("/proc/self/fd").iterdir()]
    return [number for number, entry in listed if entry.exists() and entry.resolve().is_relative_to(folder)]


def test_the_lock_does_not_pass_to_programs_that_the_driver_starts(tmp_path: Path) -> None:
    with Study.open(tmp_path, space()):
        assert [os.get_inheritable(number) for number in open_files(tmp_path)] == [False, False]
    assert open_files(tmp_path) == []


def test_a_driver_that_could_not_open_the_study_holds_no_lock(tmp_path: Path) -> None:
    run(tmp_path, space(trials=1))
    with pytest.raises(UserError):
        Study.open(tmp_path, space(trials=1, seed=9))
    assert open_files(tmp_path) == []
    Study.open(tmp_path, space(trials=1)).close()


def test_a_full_disk_pauses_the_study_and_loses_nothing(tmp_path: Path) -> None:
    """Writes that stop half way, wherever that is: the user hears of it, and the study goes on when there is room."""
    undisturbed = essence(run(tmp_path / "whole", space(trials=4)))
    size = (tmp_path / "whole" / "study.journal").stat().st_size

    def fill_up() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for room in range(size // 3, size * 9 // 10, size // 9):
            assert essence(run_with_room(tmp_path / str(room), room)) == undisturbed, room
        os._exit(7)

    child = in_a_child(fill_up)
    child.join(120)
    assert child.exitcode == 7


def run_with_room(folder: Path, room: int) -> list[TrialView]:
    """Run a study on a disk that fills up, and has room again once the user was told."""
    said: list[str] = []

    def told(text: str) -> None:
        said.append(text)
        content = (folder / "study.journal").read_bytes()
        assert [json.loads(line) for line in content.splitlines()]
        assert content.endswith(b"\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    with Study.open(folder, space(trials=4)) as study:
        study.tell = told
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        drive(study)
        views = study.snapshot()
    assert [text.partition("study.journal ")[2] for text in said] == [
        "cannot be written (File too large): the study waits, nothing is lost",
        "can be written again: the study goes on",
    ]
    return views


def test_a_trial_that_could_not_be_written_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does anything wait for it: running trials report, and it is handed out once it is on the disk."""
    undisturbed = essence(run(tmp_path / "whole", space(trials=2)))
    full, write = threading.Event(), os.write
    monkeypatch.setattr(ledger, "PATIENCE", 0.1)
    monkeypatch.setattr(writer, "LONGEST_PAUSE", 0.05)

    def write_if_there_is_room(file: int, data: bytes) -> int:
        if full.is_set() and os.readlink(f"/proc/self/fd/{file}").endswith("study.journal"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    monkeypatch.setattr(os, "write", write_if_there_is_room)
    with Study.open(tmp_path / "full", space(trials=2)) as study:
        first = study.ask()
        assert first
        full.set()
        train(study, first)
        assert study.snapshot()[0].last_epoch == EPOCHS
        assert [study.ask() for _ in range(3)] == [None] * 3
        assert study.behind
        assert len(read_views(tmp_path / "full")) == 1
        full.clear()
        drive(study)
        assert essence(study.snapshot()) == undisturbed
    assert essence(read_views(tmp_path / "full")) == undisturbed


def test_reports_wait_for_the_disk_and_all_else_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "study.journal")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    report = {"op_code": 7, "trial_id": 0, "step": 1, "intermediate_value": 0.5}

    def append(*entries: dict[str, Any]) -> int:
        journal.append_logs(list(entries))
        journal.commit()
        return len(synced)

    assert append(report) == 0
    assert append({"op_code": 4, "study_id": 0}) == 1
    assert append(report, {"op_code": 6, "trial_id": 0, "state": 1, "values": [0.5]}, report) == 2
    assert append(report) == 2
    journal._synced -= 2.0
    assert append(report) == 3
    journal.close()

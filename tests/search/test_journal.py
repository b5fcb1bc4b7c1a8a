"""The study's file and its lock: no kill, no full disk and no second driver may spoil them."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from raytrainer.config.problems import UserError
from raytrainer.search.journal import DriverLock, Journal, cut_torn_line
from raytrainer.search.reading import read_views
from raytrainer.search.study import Study
from search.studies import essence, run, space, train

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
    "spoil",
    [
        lambda lines: [*lines[:3], b'{"op_code":7,"worker\n', *lines[3:]],
        lambda lines: [*lines[:3], b"\n", *lines[3:]],
        lambda lines: [b"not a journal\n", *lines],
        lambda lines: [*lines, b'{"op_code":99}\n'],
    ],
)
def test_damage_before_the_last_line_is_told(tmp_path: Path, spoil: Callable[[list[bytes]], list[bytes]]) -> None:
    run(tmp_path, space(trials=2))
    path = tmp_path / "study.journal"
    path.write_bytes(b"".join(spoil(path.read_bytes().splitlines(keepends=True))))
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"study\.journal cannot be read as a study"):
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


def test_the_lock_does_not_pass_to_programs_that_the_driver_starts(tmp_path: Path) -> None:
    with Study.open(tmp_path, space()) as study:
        inheritable = [os.get_inheritable(study._driver._file.fileno()), os.get_inheritable(study._journal._out)]
    assert inheritable == [False, False]


def test_a_driver_that_could_not_open_the_study_holds_no_lock(tmp_path: Path) -> None:
    run(tmp_path, space(trials=1))
    with pytest.raises(UserError):
        Study.open(tmp_path, space(trials=1, seed=9))
    Study.open(tmp_path, space(trials=1)).close()


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """Writes that stop half way, wherever that is: the driver hears of it, and the study goes on when there is room."""
    undisturbed = essence(run(tmp_path / "whole", space(trials=4)))
    size = (tmp_path / "whole" / "study.journal").stat().st_size

    def fill_up() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        unlimited = resource.RLIM_INFINITY
        for room in range(size // 3, size * 9 // 10, size // 9):
            folder = tmp_path / str(room)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, unlimited))
            with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is what tells
                run(folder, space(trials=4))
            resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
            assert caught.value.errno == errno.EFBIG
            content = (folder / "study.journal").read_bytes()
            assert content.endswith(b"\n")
            assert [json.loads(line) for line in content.splitlines()]
            assert essence(run(folder, space(trials=4))) == undisturbed, room
        os._exit(7)

    child = in_a_child(fill_up)
    child.join(120)
    assert child.exitcode == 7


def test_a_suggestion_that_could_not_be_written_comes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = essence(run(tmp_path / "whole", space(trials=4)))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Study.open(tmp_path / "full", space(trials=4)) as study:
        for _ in range(4):
            with monkeypatch.context() as patched:
                patched.setattr(os, "write", full)
                with pytest.raises(OSError, match="No space left"):
                    study.ask()
            trial = study.ask()
            assert trial
            with monkeypatch.context() as patched:
                patched.setattr(os, "write", full)
                with pytest.raises(OSError, match="No space left"):
                    study.report(trial.number, 1, 0.5)
            train(study, trial)
        assert essence(study.snapshot()) == undisturbed


def test_reports_wait_for_the_disk_and_all_else_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "study.journal")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    report = {"op_code": 7, "trial_id": 0, "step": 1, "intermediate_value": 0.5}
    journal.append_logs([report])
    assert synced == []
    journal.append_logs([{"op_code": 4, "study_id": 0}])
    assert len(synced) == 1
    journal.append_logs([{"op_code": 6, "trial_id": 0, "state": 1, "values": [0.5]}])
    assert len(synced) == 2
    journal._synced -= 2.0
    journal.append_logs([report])
    assert len(synced) == 3
    journal.close()

"""A process is ready for Ultralytics: no download, no install, no display, a settings folder that can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raytrainer.trainer.environment import FONTS, prepare_process

VARIABLES = ("YOLO_OFFLINE", "YOLO_AUTOINSTALL", "MPLBACKEND", "YOLO_CONFIG_DIR", "XDG_CONFIG_HOME")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user who has set nothing; the folder where Ultralytics will keep its settings."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "Ultralytics"


@pytest.mark.parametrize("offline", [False, True])
def test_only_workers_are_offline(offline: bool, fresh: Path) -> None:
    prepare_process(offline=offline)
    assert os.environ.get("YOLO_OFFLINE") == ("1" if offline else None)
    assert os.environ["YOLO_AUTOINSTALL"] == "0"
    assert os.environ["MPLBACKEND"] == "Agg"
    assert "YOLO_CONFIG_DIR" not in os.environ
    assert sorted(path.name for path in fresh.iterdir()) == (sorted(FONTS) if offline else [])


def test_a_second_call_changes_nothing(fresh: Path) -> None:
    prepare_process(offline=True)
    before, fonts = dict(os.environ), {path: path.stat() for path in fresh.iterdir()}
    prepare_process(offline=True)
    assert dict(os.environ) == before
    assert {path: path.stat() for path in fresh.iterdir()} == fonts


@pytest.mark.usefixtures("fresh")
def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOLO_AUTOINSTALL", "1")
    monkeypatch.setenv("MPLBACKEND", "svg")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "mine"))
    font = tmp_path / "mine" / "Ultralytics" / "Arial.ttf"
    font.parent.mkdir(parents=True)
    font.write_text("the real one")
    prepare_process(offline=True)
    assert (os.environ["YOLO_AUTOINSTALL"], os.environ["MPLBACKEND"]) == ("1", "svg")
    assert os.environ["YOLO_CONFIG_DIR"] == str(tmp_path / "mine")
    assert font.read_text() == "the real one"


@pytest.mark.usefixtures("fresh")
def test_a_folder_that_cannot_be_written_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a-file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    prepare_process(offline=True)
    own = Path(os.environ["YOLO_CONFIG_DIR"])
    assert own.parent == tmp_path
    assert (own / "Ultralytics" / "Arial.ttf").is_file()


def test_ultralytics_reads_it(fresh: Path) -> None:
    code = (
        "from raytrainer.trainer.environment import prepare_process; prepare_process(offline=True)\n"
        "from ultralytics.utils import AUTOINSTALL, ONLINE, checks\n"
        "print(AUTOINSTALL, ONLINE, checks.check_font('Arial.ttf'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1].split() == ["False", "False", str(fresh / "Arial.ttf")], done.stderr

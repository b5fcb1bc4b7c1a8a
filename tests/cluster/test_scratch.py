"""What a driver leaves behind when it is killed, and what the next one does about it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from raytrainer.cluster.scratch import LOCK, scratch, sweep

DRIVER = """
import sys, time
from pathlib import Path
import ray
from raytrainer.cluster.scratch import scratch
from raytrainer.cluster.session import session

@ray.remote
class Trial:
    def where(self):
        return "running"
    def train(self):
        time.sleep(600)

if __name__ == "__main__":
    with session(None, Path(sys.argv[1]), cpus=1) as starting, scratch("tune-"):
        starting.result()
        trial = Trial.remote()
        print(ray.get(trial.where.remote()), flush=True)
        ray.get(trial.train.remote())
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:  # noqa: ARG001, made before
    """A folder for temporary files of its own, with a path that is short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="rt-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_nothing_of_a_killed_driver_outlives_the_next_start(temporary: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "driver.log")]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "running\n"
    folders = sorted(path.parent for path in temporary.glob(f"*/{LOCK}"))
    assert len(folders) == 2
    processes = psutil.Process(driver.pid).children(recursive=True)
    assert len(processes) > 5
    sweep()
    assert all(folder.is_dir() for folder in folders), "of a driver that lives"
    driver.kill()
    driver.communicate()
    sweep()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    sweep()  # what the last of them wrote while they ended
    assert not [folder for folder in folders if (folder / LOCK).exists()]


def test_a_folder_goes_with_its_block_and_no_other_with_it(temporary: Path) -> None:
    strange = temporary / "raytrainer-strange"
    strange.mkdir()
    with scratch() as mine, scratch("tune-") as other:
        sweep()
        assert sorted(temporary.iterdir()) == sorted([mine, other, strange])
        assert other.name.startswith("raytrainer-tune-")
    sweep()
    assert list(temporary.iterdir()) == [strange], "nobody knows whose it is"

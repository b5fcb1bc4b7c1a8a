"""A cluster is joined as `auto`, by its address, or from outside through its client server."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
import yaml

from raytrainer.config.layout import StudyFolder
from raytrainer.search.reading import read_views
from raytrainer.trainer.records import read_records

from .conftest import SECONDS, Head, Tune, wait_for_epochs

JOIN = """
import sys
from pathlib import Path
from raytrainer.cluster.session import session

with session(sys.argv[-1], Path("/dev/null")) as starting:
    print(starting.result().nodes())
"""
OTHER_VERSION = """
import sys
import ray
ray.__version__ = "2.1.0"
from raytrainer.cli import main
sys.exit(main(["tune", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("joined", ["auto", "RAY_ADDRESS"])
def test_on_a_node_of_the_cluster(joined: str, head: Head, tune: Tune, tmp_path: Path) -> None:
    flags = ["--address", "auto"] if joined == "auto" else []
    # The cluster of this machine is taken to want the token that there is; another one is not told it unasked.
    variables = {"RAY_AUTH_MODE": None} if joined == "auto" else {"RAY_ADDRESS": head.address}
    driver = tune("--storage", tmp_path / "runs", *flags, **variables)
    output, errors = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 0, output + errors
    assert f"Ray dashboard {head.dashboard}" in output
    assert [view.state for view in read_views(tmp_path / "runs" / "cells")] == ["complete", "pruned"]


def test_from_outside(head: Head, tune: Tune, workplace: Path, tmp_path: Path) -> None:
    """Reported every epoch, interrupted, gone on with from another folder, stopped early, written down."""
    study = StudyFolder(tmp_path / "studies" / "cells")
    flags = ("--storage", study.path.parent, "--address", head.client, "--epochs", "20")
    first = tune(*flags)
    wait_for_epochs(2, study, first)
    first.send_signal(signal.SIGINT)
    output, errors = first.communicate(timeout=SECONDS)
    assert first.returncode == 130, output + errors
    assert "Stopping; every trial keeps its last epoch" in output
    assert "nothing is lost" in output
    records = study.trial(0) / "records.jsonl"
    assert 2 <= len(read_records(records)) < 20
    assert [view.state for view in read_views(study.path)] == ["running"]

    elsewhere = shutil.copytree(workplace, tmp_path / "elsewhere")
    shutil.rmtree(workplace)
    second = tune(*flags, folder=elsewhere)
    output, errors = second.communicate(timeout=SECONDS)
    assert second.returncode == 0, output + errors
    assert "trial 0 complete after 20 of 20 epochs" in output
    assert "Best fitness" in output.splitlines()[-1]
    assert [record.epoch for record in read_records(records)] == [*range(1, 21)]
    assert [view.state for view in read_views(study.path)] == ["complete", "pruned"]
    best = yaml.safe_load((study.best / "best.yaml").read_text())
    assert (study.best / best["model"]).resolve() == study.files / "model" / "yolo-tiny.yaml"
    assert errors == ""


REFUSALS = {
    "another token": ({"RAY_AUTH_TOKEN": "wrong"}, "another token than ours"),
    "no token": ({"RAY_AUTH_TOKEN": "", "HOME": "/nonexistent"}, "RAY_AUTH_MODE is token, but there is none"),
    "without one": ({"RAY_AUTH_MODE": "disabled"}, "it asks for a token: set RAY_AUTH_MODE=token"),
}


@pytest.mark.parametrize("by_client", [False, True])
@pytest.mark.parametrize("case", REFUSALS)
def test_a_token_that_is_not_the_clusters(case: str, by_client: bool, head: Head, tune: Tune, tmp_path: Path) -> None:
    variables, why = REFUSALS[case]
    address = head.client if by_client else head.address
    driver = tune("--storage", tmp_path / "runs", "--address", address, **variables)
    _, errors = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 2, errors
    assert f"--address: no Ray cluster can be joined at '{address}'" in errors
    assert why in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "runs" / "cells" / "study.journal").exists()


def test_a_token_in_a_file(head: Head, tune: Tune, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(head.environment()["RAY_AUTH_TOKEN"])
    driver = tune("--address", head.address, program=["-c", JOIN], RAY_AUTH_TOKEN=None, RAY_AUTH_TOKEN_PATH=str(file))
    output, errors = driver.communicate(timeout=SECONDS)
    assert output.splitlines()[-1:] == ["[{'CPU': 1.0}]"], output + errors


@pytest.mark.parametrize("by_client", [False, True])
def test_another_version_of_ray(by_client: bool, head: Head, tune: Tune, tmp_path: Path) -> None:
    address = head.client if by_client else head.address
    driver = tune("--address", address, "--storage", tmp_path / "runs", program=["-c", OTHER_VERSION])
    output, errors = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 2, output + errors
    assert "Ray: 2.1.0" in errors
    assert "Traceback" not in errors


def test_a_study_from_outside_is_kept_on_the_cluster(head: Head, tune: Tune) -> None:
    driver = tune("--address", head.client)
    _, errors = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 2
    assert "cells.yaml: storage: expected an absolute path on storage that all nodes share, got 'runs'" in errors

"""A node is prepared once before its first trial; one that cannot be costs the study no trial."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from end_to_end.conftest import PROJECT, environment, write_space

from raytrainer.cluster import node
from raytrainer.config import remote_data
from raytrainer.config.layout import StudyFolder
from raytrainer.config.load import load_space
from raytrainer.search.reading import read_views

from .conftest import AddNode


def tune(folder: Path, space: Path, address: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python tune.py` on a cluster."""
    return subprocess.run(
        [sys.executable, str(PROJECT / "tune.py"), str(space), "--address", address, "--name", "cells"],
        cwd=folder, env={**environment(), "RAY_AUTH_MODE": "disabled", **variables},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_a_node_has_the_caches_of_its_labels_before_it_trains(
    bccd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials that start together would each make and write them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is put back afterwards
    shutil.copytree(bccd.parent, tmp_path / "cells", ignore=shutil.ignore_patterns("*.cache"))
    model = PROJECT / "tests" / "models" / "yolo-tiny.yaml"
    space = load_space(write_space(tmp_path, model, tmp_path / "cells" / "data.yaml"))
    folder = StudyFolder(tmp_path / "runs" / "cells")
    folder.path.mkdir(parents=True)
    folder.mark.write_text("the driver's")
    driver = node.Driver("another", "the driver's", node._versions(), node._dataset(space))
    assert node._prepared(space, folder, driver) == node.FIT
    assert {cache.stem for cache in (tmp_path / "cells").rglob("*.cache")} == {"train", "val"}


def test_trials_go_to_nodes_that_could_be_prepared(add_node: AddNode, bccd: Path, tmp_path: Path) -> None:
    kept = {remote_data.VARIABLE: str(tmp_path / "kept")}
    archive = shutil.make_archive(str(tmp_path / "cells"), "zip", bccd.parent)
    space = write_space(tmp_path, PROJECT / "tests" / "models" / "yolo-tiny.yaml", f"file://{archive}")
    paths = {"PYTHONPATH": str(PROJECT)}
    add_node(num_cpus=0, env_vars=paths | kept)
    address = add_node(num_cpus=1, env_vars=paths | {remote_data.VARIABLE: "/dev/null/nowhere"})

    alone = tune(tmp_path, space, address, **kept)
    folder = StudyFolder(tmp_path / "runs" / "cells")
    assert alone.returncode == 2, alone.stdout + alone.stderr
    assert "no node is left for a trial: node " in alone.stderr
    assert "/dev/null/nowhere" in alone.stderr
    assert not folder.journal.exists(), "no trial has begun, so there is no study"

    add_node(num_cpus=2, env_vars=paths | kept | {"RAYTRAINER_IMAGES": str(tmp_path / "images")})
    done = tune(tmp_path, space, address, **kept)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("/dev/null/nowhere") <= 1
    assert [view.state for view in read_views(folder.path)] == ["complete"] * 3

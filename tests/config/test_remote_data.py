"""Datasets on object storage: fetched once, whole or not at all, and what their checksum says or not at all."""

from __future__ import annotations

import re
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest

from raytrainer.config import remote_data
from raytrainer.config.assemble import assemble
from raytrainer.config.check import check
from raytrainer.config.dataset import fingerprint, read_dataset
from raytrainer.config.load import load_space
from raytrainer.config.problems import UserError
from raytrainer.config.remote_data import is_remote, local, pin, pinned
from raytrainer.config.space import Space


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what is fetched is kept."""
    monkeypatch.setenv(remote_data.VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def stored(kind: str, source: Path, target: Path) -> str:
    """URI of a dataset's folder, put where a test can fetch it."""
    if kind == "folder":
        return f"file://{shutil.copytree(source, target / 'cells')}"
    if kind == "fsspec":
        memory, root = fsspec.filesystem("memory"), f"/{target.name}"
        memory.put(str(source), root, recursive=True)
        return f"memory:/{root}"
    if kind == "zip":
        return "file://" + shutil.make_archive(str(target / "cells"), "zip", source)
    return "file://" + shutil.make_archive(str(target / "cells"), "gztar", source.parent, source.name)


@pytest.mark.parametrize("kind", ["folder", "fsspec", "zip", "tar in a folder"])
def test_fetched_it_is_the_same_dataset(kind: str, bccd: Path, tmp_path: Path) -> None:
    uri = pinned(stored(kind, bccd.parent, tmp_path))
    assert re.fullmatch(r".+#sha256=[0-9a-f]{64}", uri)
    assert pinned(uri) == uri
    assert fingerprint(read_dataset(uri)) == fingerprint(read_dataset(str(bccd)))


def test_what_is_pinned_is_fetched_once_and_means_the_same_for_ever(bccd: Path, tmp_path: Path, kept: Path) -> None:
    unpinned = stored("zip", bccd.parent, tmp_path)
    uri = pinned(unpinned)
    archive = Path(unpinned.removeprefix("file://"))
    archive.unlink()
    assert local(uri).startswith(str(kept))
    shutil.rmtree(kept)
    with pytest.raises(UserError, match="nothing at this address"):
        local(uri)
    shutil.make_archive(str(archive.with_suffix("")), "zip", bccd.parent / "images")
    with pytest.raises(UserError, match=r"its checksum is \w{64}, expected") as error:
        local(uri)
    assert str(archive) in str(error.value)
    assert not [path for path in kept.iterdir() if path.is_dir()], "nothing wrong is kept"
    assert pinned(unpinned) != uri


def test_processes_that_come_at_once_fetch_once(bccd: Path, tmp_path: Path, kept: Path) -> None:
    uri = pinned(stored("zip", bccd.parent, tmp_path))
    shutil.rmtree(kept)
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(local, [uri] * 4))) == 1
    assert len([path for path in kept.iterdir() if path.is_dir()]) == 1


def test_a_space_gets_the_local_path_where_it_is_trained(bccd: Path, tmp_path: Path) -> None:
    uri = stored("folder", bccd.parent, tmp_path)
    space = pin(Space(model="yolo11n.yaml", data=uri))
    assert space.data.startswith(f"{uri}#sha256=")
    assert [problem.key for problem in check(space)] == ["space"], "nothing is searched here"
    assert Path(assemble(space, {}).train["data"]).is_dir()
    here = Space(model="yolo11n.yaml", data=str(bccd))
    assert pin(here) is here


def test_what_is_not_there_is_told_at_its_line(space_file: Any) -> None:
    text = "model: yolo11n.yaml\ndata: file:///no/such/cells.zip\nspace: {lr0: [0.1, 0.2]}\n"
    space = load_space(space_file(text))
    with pytest.raises(UserError) as error:
        pin(space)
    assert re.search(r"\.yaml:2: data: file:///no/such/cells.zip: cannot be fetched", str(error.value))


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "evil").write_text("")
    with tarfile.open(tmp_path / "cells.tar", "w") as archive:
        archive.add(tmp_path / "evil", "../../evil")
    with pytest.raises(UserError, match="outside the destination"):
        pinned(f"file://{tmp_path / 'cells.tar'}")
    assert not (kept / "evil").exists()


def test_a_data_yaml_alone_is_fetched_before_anybody_reads_it(bccd: Path, tmp_path: Path) -> None:
    there = tmp_path / "cells.yaml"
    there.write_text(f"path: {bccd.parent}\n{bccd.read_text()}")
    uri = pinned(f"file://{there}")
    there.unlink()
    assert fingerprint(read_dataset(uri)) == fingerprint(read_dataset(str(bccd)))
    there.write_text("train: gone\nval: gone\nnames: [cat]\ndownload: print(1)\n")
    with pytest.raises(UserError, match="would run code"):
        read_dataset(f"file://{there}")


@pytest.mark.parametrize("line", ["path: {}", "train: {}/images/train", "val: images/val/../../../../../{}/images/val"])
def test_what_is_fetched_names_no_file_of_this_machine(line: str, bccd: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(bccd.parent, tmp_path / "source"))
    key, _, value = line.format(bccd.parent).partition(": ")
    depth = "../" * 40
    lines = [each for each in bccd.read_text().splitlines() if not each.startswith(f"{key}:")]
    (source / "data.yaml").write_text("\n".join([*lines, f"{key}: {value.replace('../' * 5, depth)}"]))
    assert len(read_dataset(str(source)).val) == 6, "on this machine's own disk Ultralytics takes it, and so do we"
    with pytest.raises(UserError, match=rf"of its images lie outside of it, the first is {bccd.parent}"):
        read_dataset(f"file://{source}")


@pytest.mark.parametrize(
    ("data", "remote"),
    [
        ("s3://bucket/cells", True),
        ("https://host/cells.zip", True),
        ("https://host/cells.yaml", True),
        ("https://host/cells", False),
        ("ul://user/datasets/cells", False),
        ("cells.yaml", False),
        ("C:\\cells.yaml", False),
    ],
)
def test_what_is_a_uri_of_ours(data: str, remote: bool) -> None:
    assert is_remote(data) == remote

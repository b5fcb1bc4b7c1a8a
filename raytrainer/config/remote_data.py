"""A dataset on object storage: an archive or a folder by its URI, kept on this machine's disk, verified by checksum.

Or a data.yaml alone, whose `download:` Ultralytics follows. `s3://bucket/cells.zip`, `gs://bucket/cells`,
`https://host/cells.tar.gz`, `file:///mnt/cells`; with `#sha256=` and the checksum, exactly that and nothing else. What
is fetched lies under its checksum, so that several versions do not get in each other's way, and is there whole or not
at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raytrainer.config.problems import Problem, UserError
from raytrainer.config.space import Space

VARIABLE = "RAYTRAINER_DATA"
"""Environment variable that names the folder for what is fetched; by default one in the user's cache."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
YAMLS = (".yaml", ".yml")
PIN = "#sha256="
SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
ULTRALYTICS = ("ul", "rtsp", "grpc")
"""Schemes that Ultralytics resolves itself."""
BY_PYARROW = ("s3", "gs", "gcs", "hdfs", "file", "abfs", "abfss")
"""Schemes that pyarrow brings along; others, and those that it was built without, are fsspec's."""
CHUNK = 2**20


def is_remote(data: str) -> bool:
    """Whether a dataset is named by a URI that is fetched here; one of Ultralytics' own is not.

    By `http` no folder is: a web server has none.
    """
    scheme = SCHEME.match(data)
    if scheme is None or scheme[1].lower() in ULTRALYTICS:
        return False
    return not scheme[1].lower().startswith("http") or _is_file(_without_pin(data))


def brings_images(data: str) -> bool:
    """Whether a dataset is fetched here with its images."""
    return is_remote(data) and not _without_pin(data).lower().endswith(YAMLS)


def pinned(data: str) -> str:
    """The same with its checksum behind it, which makes it mean the same wherever and whenever it is fetched.

    Raises:
        UserError: if it cannot be fetched.
    """
    if not is_remote(data) or PIN in data:
        return data
    return f"{data}{PIN}{_fetched(data).name}"


def pin(space: Space) -> Space:
    """The space with its data pinned, fetched if need be; one without a URI is returned as it is.

    Raises:
        UserError: if it cannot be fetched, with the line that names it.
    """
    try:
        data = pinned(space.data)
    except UserError as error:
        raise UserError([space.problem(("data",), str(error))]) from error
    return space if data == space.data else space.model_copy(update={"data": data})


def local(data: str) -> str:
    """A path that Ultralytics takes: the data.yaml or folder of what was fetched, or `data` itself if it is no URI.

    What is here already is not asked for again.

    Raises:
        UserError: if it cannot be fetched, or is not what its checksum says.
    """
    if not is_remote(data):
        return data
    checksum = data.partition(PIN)[2]
    kept = folder() / checksum
    return str(_content(kept if checksum and kept.is_dir() else _fetched(data)))


def folder() -> Path:
    """Where fetched datasets lie on this machine."""
    chosen = os.environ.get(VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen).resolve() if chosen else cache / "raytrainer" / "data"


def _is_file(uri: str) -> bool:
    return uri.lower().endswith((*ARCHIVES, *YAMLS))


def _without_pin(data: str) -> str:
    return data.partition(PIN)[0]


def _fetched(data: str) -> Path:
    """Fetch into a folder that is named by the checksum; what is there under that name already is kept."""
    uri, _, wanted = data.partition(PIN)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with _alone(wanted or hashlib.sha256(uri.encode()).hexdigest()):
            if wanted and (folder() / wanted).is_dir():  # another process of this machine was first
                return folder() / wanted
            with tempfile.TemporaryDirectory(dir=folder(), prefix=".fetching-") as scratch:
                return _keep(uri, wanted, Path(scratch))
    except (OSError, ValueError, ImportError, tarfile.TarError) as error:
        raise _error(uri, f"cannot be fetched: {' '.join(str(error).split())[:300]}") from error


def _keep(uri: str, wanted: str, scratch: Path) -> Path:
    checksum = _download(uri, scratch / "download")
    if wanted and checksum != wanted:
        raise _error(uri, f"its checksum is {checksum}, expected {wanted}")
    target, unpacked = folder() / checksum, scratch / "download"
    if unpacked.is_file():
        unpacked = _unpacked(uri, unpacked, scratch / "unpacked")
    if not target.is_dir():
        os.replace(unpacked, target)
    return target


def _unpacked(uri: str, file: Path, target: Path) -> Path:
    """An archive's contents, or a data.yaml alone, in a folder."""
    if uri.lower().endswith(YAMLS):
        target.mkdir()
        file.rename(target / f"data{Path(uri).suffix}")
        return target
    name = next(suffix for suffix in ARCHIVES if uri.lower().endswith(suffix))
    archive = file.rename(file.with_name(f"archive{name}"))
    if name == ".zip":
        shutil.unpack_archive(archive, target)
    else:
        shutil.unpack_archive(archive, target, filter="data")
    return target


def _download(uri: str, target: Path) -> str:
    """Download a file to a file or a folder to a folder; its SHA-256."""
    from pyarrow import fs

    system, path = _file_system(uri)
    if system.get_file_info(path).type == fs.FileType.NotFound:
        raise FileNotFoundError("there is nothing at this address")
    if _is_file(uri):
        return _copy(system, path, target)
    files = [each for each in system.get_file_info(fs.FileSelector(path, recursive=True)) if each.is_file]
    sums = hashlib.sha256()
    for file in sorted(files, key=lambda each: str(each.path)):
        name = os.path.relpath(file.path, path)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        sums.update(f"{name}\0{_copy(system, file.path, target / name)}\n".encode())
    return sums.hexdigest()


def _copy(system: Any, path: str, target: Path) -> str:
    sums = hashlib.sha256()
    with system.open_input_stream(path) as source, target.open("wb") as file:
        while block := source.read(CHUNK):
            sums.update(block)
            file.write(block)
    return sums.hexdigest()


def _file_system(uri: str) -> tuple[Any, str]:
    """The file system of a URI, in pyarrow's interface, and the path in it."""
    from pyarrow import ArrowNotImplementedError, fs

    scheme = uri.partition("://")[0].lower()
    if scheme in BY_PYARROW:
        try:
            system, path = fs.FileSystem.from_uri(uri)
            return system, path
        except ArrowNotImplementedError:  # this build of pyarrow lacks it
            pass
    import fsspec

    found, path = fsspec.core.url_to_fs(uri)
    return fs.PyFileSystem(fs.FSSpecHandler(found)), path


def _content(kept: Path) -> Path:
    """What read_dataset takes: an archive often has one folder with everything in it."""
    entries = list(kept.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else kept


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """While no other process of this machine fetches the same."""
    import fcntl

    with (folder() / f".{name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _error(uri: str, message: str) -> UserError:
    return UserError([Problem(uri, None, None, message)])

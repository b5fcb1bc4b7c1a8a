"""A node is prepared once for a study: by the first process that would train there, while the others wait for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from raytrainer.config.dataset import fingerprint, read_dataset
from raytrainer.config.layout import StudyFolder
from raytrainer.config.model_file import model_facts
from raytrainer.config.problems import UserError
from raytrainer.config.space import Space
from raytrainer.search.deaths import NODE_UNFIT
from raytrainer.version import __version__

FIT = "fit"
KEPT_SECONDS = 7 * 86400.0
"""How long a node remembers that it was prepared for a study."""


class NodeUnfit(RuntimeError):
    """This node cannot train for this study; no other is touched by it."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What the driver has, for every node to hold itself against."""

    node: str
    """Identifier of its own node, which needs no preparation."""
    mark: str
    """What it wrote into the study's folder, to be found there from every node."""
    versions: Mapping[str, str]
    dataset: str | None
    """Fingerprint of the dataset; None if only Ultralytics can find it."""


def this_driver(space: Space, folder: StudyFolder) -> Driver:
    """Describe this process, and leave its mark in the study's folder. Ray must be connected."""
    import ray

    mark = uuid4().hex
    folder.mark.write_text(mark, encoding="utf-8")
    return Driver(ray.get_runtime_context().get_node_id(), mark, _versions(), _dataset(space))


def prepare_node(space: Space, folder: StudyFolder, driver: Driver) -> None:
    """Prepare the node of this Ray process unless that was done.

    Raises:
        NodeUnfit: if it could not be; every process of the node is told the same without another try.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    if node == driver.node:
        return
    with _record(f"{driver.mark}-{node}").open("a+", encoding="utf-8") as record:
        fcntl.flock(record, fcntl.LOCK_EX)  # a process that dies lets go, and the next one prepares
        record.seek(0)
        if not (told := record.read()):
            told = _in_own_process(space, folder, driver, node)
            record.write(told)
    if told != FIT:
        raise unfit(told)


def unfit(why: str) -> NodeUnfit:
    """The error about the node of this Ray process."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return NodeUnfit(f"node {ray.util.get_node_ip_address()} ({node}) {NODE_UNFIT}: {why}")


def _in_own_process(space: Space, folder: StudyFolder, driver: Driver, node: str) -> str:
    """Ultralytics is imported there, which a rank must not do before it knows its rank."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(num_cpus=0, max_calls=1, scheduling_strategy=here)(_prepared)
    told: str = ray.get(task.remote(space, folder, driver))
    return told


def _prepared(space: Space, folder: StudyFolder, driver: Driver) -> str:
    """FIT, or one line that says why not."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        _check_versions(driver.versions)
        _check_storage(folder, driver.mark)
        if driver.dataset not in (None, _dataset(space)):
            return f"its dataset {space.data} is another than the driver's: other images or labels"
        from raytrainer.config.assemble import assemble, defaults
        from raytrainer.trainer.environment import prepare_process

        prepare_process(offline=True)
        from raytrainer.trainer.caches import build_caches

        build_caches(assemble(space, defaults(space)))
    except Exception as error:  # whatever it is, it is the node's, and told as such
        traceback.print_exc()
        known = isinstance(error, UserError | NodeUnfit)
        return " ".join((str(error) if known else f"{type(error).__name__}: {error}").split())[:500]
    return FIT


def _versions() -> dict[str, str]:
    """Without what says for which hardware a build is, such as `+cu130`."""
    return {"raytrainer": __version__, **{name: version(name).partition("+")[0] for name in ("ultralytics", "torch")}}


def _check_versions(expected: Mapping[str, str]) -> None:
    mine = _versions()
    other = [f"{name} {mine[name]}, not {its} as the driver's" for name, its in expected.items() if mine[name] != its]
    if other:
        raise NodeUnfit(f"it has {' and '.join(other)}")


def _check_storage(folder: StudyFolder, mark: str) -> None:
    """Whether the study's folder is the driver's, and can be written from here."""
    found = folder.mark.read_text(encoding="utf-8") if folder.mark.is_file() else None
    if found != mark:
        raise NodeUnfit(f"{folder.path} is not the driver's folder of that name here: it has to be on shared storage")
    folder.trials.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=folder.trials):
        pass


def _dataset(space: Space) -> str | None:
    from raytrainer.config.assets import URL
    from raytrainer.config.remote_data import is_remote

    if URL.match(space.data) and not is_remote(space.data):
        return None
    dataset = read_dataset(space.data, classify=model_facts(space.model).task == "classify")
    return fingerprint(dataset) if dataset.present else None


def _record(name: str) -> Path:
    """The file of this node in which it is written that it was prepared, and how that went."""
    folder = Path(tempfile.gettempdir()) / f"raytrainer-nodes-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > KEPT_SECONDS:
                old.unlink()
    return folder / name

"""What an architecture costs: latency, parameters and operations, measured once for all of its trials."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.backends import cudnn
from ultralytics.utils.torch_utils import get_flops, get_num_params, unwrap_model

from raytrainer.trainer.atomic import sync_folder, write_bytes
from raytrainer.trainer.process_state import restored_process
from raytrainer.trainer.random_states import random_states, restore_random_states

WARM_UP = 3
PASSES, SECONDS = (10, 100), 1.0
"""Forward passes that are timed: at least and at most, and for how long beyond the least."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the measurements depend on."""

    model: str
    """Name of the file that was given."""
    classes: int
    imgsz: int
    """Pixels of a side, as rounded by Ultralytics."""
    device: str
    """Kind of device: a GPU's name, or the CPU's architecture and the threads that torch has."""

    @classmethod
    def of(cls, trainer: Any) -> Architecture:
        """That of a trainer that is set up."""
        name = Path(str(trainer.arguments["model"])).name
        return cls(name, len(trainer.data["names"]), int(trainer.args.imgsz), device_kind(trainer.device))

    @property
    def file_name(self) -> str:
        """Of the measurements in a study's folder, different for different architectures."""
        text = json.dumps(asdict(self))
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", f"{Path(self.model).stem}-{self.imgsz}-{self.device}")
        return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"


def device_kind(device: torch.device) -> str:
    """`NVIDIA H100 80GB HBM3`, or `x86_64 CPU, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return device.type


def measured(trainer: Any, own: Path, shared: Path | None) -> dict[str, float]:
    """`latency_ms`, `params` and `GFLOPs` of a trainer's model, measured if nobody has done that before.

    A run keeps what it once took, so that it goes on with the same numbers, on whatever device that is. Of several runs
    that measure an architecture at a time the first to be done is taken by all.

    Args:
        trainer: set up, its model on its device.
        own: file of the run.
        shared: folder of all runs of a study; None for a run of its own.
    """
    asked = Architecture.of(trainer)
    if kept := read(own, asked, anywhere=True):
        return kept
    there = None if shared is None else shared / asked.file_name
    found = read(there, asked) if there else None
    if found is None:
        found = measure(unwrap_model(trainer.model), trainer.device, asked.imgsz)
        if there is not None:
            there.parent.mkdir(parents=True, exist_ok=True)
            _put_first(there, _contents(asked, found))
            found = read(there, asked) or found
    write_bytes(own, _contents(asked, found))
    return found


def read(file: Path, asked: Architecture, *, anywhere: bool = False) -> dict[str, float] | None:
    """What a file says of an architecture, `anywhere` on whatever device; None if nothing, or if it is damaged."""
    try:
        contents = json.loads(file.read_bytes())
        about, kept = asdict(asked), dict(contents["architecture"])
        same = {**kept, "device": about["device"]} == about if anywhere else kept == about
        return {name: float(value) for name, value in contents["measured"].items()} if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure(model: Any, device: torch.device, imgsz: int) -> dict[str, float]:
    """Measure a model.

    `latency_ms` is that of the model as it is deployed: a copy in evaluation mode, its layers fused, in full precision,
    one image at a time. It is the median of several forward passes after a warm-up, the head included and what comes
    after it, such as non-maximum suppression, not. `params` and `GFLOPs` are those that Ultralytics logs. No random
    number of the process is drawn, and the deterministic algorithms of the training are off meanwhile.
    """
    states = random_states(device)
    try:
        with restored_process(), torch.inference_mode():
            torch.use_deterministic_algorithms(False)
            cudnn.deterministic = False
            plain = deepcopy(model).to(memory_format=torch.contiguous_format).eval().float()
            params, flops = get_num_params(plain), get_flops(plain, imgsz)
            image = torch.zeros(1, _channels(plain), imgsz, imgsz, device=device)
            latency = _latency(plain.fuse(verbose=False), image, device)
            return {"latency_ms": latency, "params": float(params), "GFLOPs": float(flops)}
    finally:
        restore_random_states(states, device)


def _latency(model: Any, image: torch.Tensor, device: torch.device) -> float:
    for _ in range(WARM_UP):
        model(image)
    times: list[float] = []
    least, most = PASSES
    while len(times) < least or (len(times) < most and sum(times) < SECONDS):
        _wait_for(device)
        began = time.perf_counter()
        model(image)
        _wait_for(device)
        times.append(time.perf_counter() - began)
    return 1000 * median(times)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _channels(model: Any) -> int:
    return int(next(model.parameters()).shape[1])


def _contents(asked: Architecture, found: Mapping[str, float]) -> bytes:
    return json.dumps({"architecture": asdict(asked), "measured": dict(found)}, indent=2).encode()


def _put_first(path: Path, contents: bytes) -> None:
    """Write a file whole unless it is there; where the file system has no links, over what is there."""
    partial = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.partial")
    write_bytes(partial, contents)
    try:
        with suppress(FileExistsError):
            os.link(partial, path)
    except OSError:
        os.replace(partial, path)
    partial.unlink(missing_ok=True)
    sync_folder(path.parent)

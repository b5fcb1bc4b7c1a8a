"""What a training run changes in its process, put back when it ends, so that the next run starts as in a fresh one."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import torch
from torch.backends import cudnn
from ultralytics.utils import torch_utils

DETERMINISM_VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED")
"""Set and removed by `ultralytics.utils.torch_utils.init_seeds` and `unset_deterministic`."""


@contextmanager
def restored_process() -> Iterator[None]:
    """Put back threads, deterministic flags, gradient mode and their environment variables, whatever happens inside.

    Random states are not put back: a run seeds them when it begins.
    """
    threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    flags = (cudnn.deterministic, cudnn.benchmark)
    variables = {name: os.environ.get(name) for name in DETERMINISM_VARIABLES}
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv2_threads)
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill
        cudnn.deterministic, cudnn.benchmark = flags
        _set_variables(variables)


def _set_variables(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def quick_collections() -> Iterator[None]:
    """Leave everything that is there already out of garbage collection while a run lasts.

    A run collects by hand when it ends, upstream and here, and each time would otherwise look through all that the
    libraries made when they were imported: a quarter of a second, of a trial that may take a few.
    """
    mine = gc.get_freeze_count() == 0
    if mine:
        gc.freeze()
    try:
        yield
    finally:
        if mine:
            gc.unfreeze()


@contextmanager
def threads_of_torch(threads: int | None) -> Iterator[None]:
    """Let Ultralytics give torch this many threads whenever it selects the CPU; None leaves its own choice.

    `select_device` resets the number each time, at the start of a run and before a final validation, so that a number
    set from outside would not last.
    """
    own = torch_utils.NUM_THREADS
    torch_utils.NUM_THREADS = threads or own
    try:
        yield
    finally:
        torch_utils.NUM_THREADS = own

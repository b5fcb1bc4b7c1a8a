"""Training inside ranks that somebody else launched: a Ray actor, `torchrun`, a job scheduler; CPU (gloo) or CUDA.

Stock Ultralytics launches its own ranks on the GPUs of one machine. In ranks that are there already it goes wrong in
three ways, which are put right here: on a CPU it trains without DDP, since its world size comes from the device
string; over several nodes that size is wrong; and each rank may choose a `save_dir` of its own.

The launcher sets `RANK`, `LOCAL_RANK` and `WORLD_SIZE` before `ultralytics` is first imported, initialises
`torch.distributed`, and trains on every rank with the same arguments. `batch` is the batch of all ranks together.
All ranks validate a share of the images; rank 0 gathers the results and is the only one that writes. A rank that fails
raises: its launcher ends its process, whereupon the others, which wait for it, fail too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed
from ultralytics import utils
from ultralytics.cfg import get_cfg, get_save_dir
from ultralytics.utils.torch_utils import parse_device

from raytrainer.trainer.user_error import user_error

T = TypeVar("T")


def launched() -> bool:
    """Whether this process is one of several ranks of a group that is already initialised."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def is_main() -> bool:
    """Whether this process validates, writes files and reports: rank 0, or the only process."""
    return utils.RANK in {-1, 0}


def from_rank_0(value: T) -> T:
    """Rank 0's value on every rank, which must all ask for it; without ranks the value itself."""
    if not launched():
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def check_ranks() -> None:
    """Compare the ranks that Ultralytics read from the environment with those of `torch.distributed`.

    Raises:
        UserError: if they differ, which would train without DDP or write from several ranks.
    """
    if not launched():
        return
    rank, world = distributed.get_rank(), distributed.get_world_size()
    if (rank, world) != (utils.RANK, utils.WORLD_SIZE) or utils.LOCAL_RANK < 0:
        raise user_error(
            "RANK",
            f"torch.distributed says rank {rank} of {world}, but Ultralytics read RANK={utils.RANK}, "
            f"LOCAL_RANK={utils.LOCAL_RANK}, WORLD_SIZE={utils.WORLD_SIZE} when it was first imported; "
            "set RANK, LOCAL_RANK and WORLD_SIZE in the environment of each rank before ultralytics is imported",
        )


def device_of_this_rank(device: Any) -> str:
    """The device string of this rank: a CPU stays one, else the GPU of index `LOCAL_RANK` among the visible ones.

    Raises:
        UserError: if fewer GPUs are visible than ranks run on this node.
    """
    requested = str(parse_device(device))
    visible = torch.cuda.device_count()
    if requested in {"cpu", "mps"} or visible == 0:
        return requested
    index = 0 if visible == 1 else utils.LOCAL_RANK  # a launcher such as Ray shows every rank its own GPU only
    if index >= visible:
        raise user_error("device", f"rank {utils.RANK} needs GPU {index} of its node, but only {visible} are visible")
    return str(index)


def arguments_of_this_rank(cfg: Any, overrides: dict[str, Any]) -> dict[str, Any]:
    """The training arguments with the rank's own device, and with the one `save_dir` that rank 0 chose.

    Raises:
        UserError: as `check_ranks` and `device_of_this_rank` do, or if the ranks cannot share the batch evenly.
    """
    check_ranks()
    if not launched():
        return overrides
    args = get_cfg(cfg, overrides)
    overrides["device"] = device_of_this_rank(args.device)
    if not args.resume:  # a resumed run goes on in the folder of its checkpoint
        overrides["save_dir"] = _shared_save_dir(args)
    return overrides


def _shared_save_dir(args: Any) -> str:
    """Rank 0's choice. It clears the old results.csv too: the ranks would otherwise race to delete it."""
    chosen: list[str | None] = [None]
    if distributed.get_rank() == 0:
        folder = get_save_dir(args)
        (folder / "results.csv").unlink(missing_ok=True)
        chosen = [str(folder)]
    distributed.broadcast_object_list(chosen, src=0)
    return str(chosen[0])


def check_shared(folder: Path) -> None:
    """Every rank must see the folder that rank 0 made; one that does not would leave the others waiting for it.

    Raises:
        UserError: on every rank, naming those that do not see it.
    """
    seen: list[bool | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(seen, folder.is_dir())
    blind = [rank for rank, sees in enumerate(seen) if not sees]
    if blind:
        raise user_error("save_dir", f"{folder} was made by rank 0 but is not seen by ranks {blind}; use storage that "
                         "all nodes share")  # fmt: skip


def check_batch(batch: float, world_size: int) -> None:
    """The global batch must be a multiple of the number of ranks, or the ranks would train on less than it.

    Raises:
        UserError: naming the nearest batch that can be shared.
    """
    if batch < 1:
        raise user_error("batch", f"batch={batch} asks for a batch fitted to one GPU; {world_size} ranks need a number")
    if batch % world_size:
        nearest = max(round(batch / world_size), 1) * world_size
        raise user_error("batch", f"batch={batch} is the batch of all {world_size} ranks, use a multiple: {nearest}")


def adopt(trainer: Any) -> None:
    """Make a trainer that was just built one rank of the group that its process belongs to.

    Raises:
        UserError: as `check_batch` and `check_shared` do, or if the environment promises ranks that stock training
            would not start on this device and nobody initialised `torch.distributed`.
    """
    if launched():
        trainer.world_size, trainer.ddp = distributed.get_world_size(), False
        check_batch(trainer.batch_size, trainer.world_size)
        check_shared(trainer.wdir)
    elif utils.RANK != -1 and trainer.world_size < 2:
        raise user_error(
            "RANK",
            f"RANK={utils.RANK} and WORLD_SIZE={utils.WORLD_SIZE} are set, but torch.distributed is not initialised; "
            "call torch.distributed.init_process_group in every rank before training",
        )

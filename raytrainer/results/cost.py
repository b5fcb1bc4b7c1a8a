"""What trials have taken of the cluster, from what their processes wrote down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from raytrainer.config.layout import StudyFolder
from raytrainer.trainer.holdings import read_holdings
from raytrainer.trainer.records import readable_records


@dataclass(frozen=True)
class Cost:
    """Of one trial or several.

    The hours are what a trial reserves times how long its processes held it (see `Holding`), whether it was used or
    not. What a study's processes hold before they have a trial, and between two, is in none of them.
    """

    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    held: float = 0.0
    """Seconds that trials were held by their processes, one beside the other counted twice."""
    trained: float = 0.0
    """Seconds of their epochs, validation included; of an epoch that a process had to train again, once.

    Where a trial went on from another's checkpoint, that one's epochs are in the place of its own: as many, but of
    whatever length.
    """

    @property
    def share(self) -> float | None:
        """Of the time that trials were held, the part in which epochs were trained: 0 to 1; None if none was held.

        In the rest they started, wrote checkpoints, or waited: for the other ranks, the disk, the search's decision.
        """
        return min(1.0, self.trained / self.held) if self.held else None

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.cpu_hours + other.cpu_hours,
            self.gpu_hours + other.gpu_hours,
            self.held + other.held,
            self.trained + other.trained,
        )


def cost(folder: StudyFolder, number: int) -> Cost:
    """Of one trial."""
    trained = sum(record.epoch_seconds for record in readable_records(folder.records(number)))
    return replace(hours_of(folder, number), trained=trained)


def hours_of(folder: StudyFolder, number: int) -> Cost:
    """Of one trial, but for the time of its epochs, which is in longer files."""
    holdings = read_holdings(folder.holdings(number))
    return Cost(
        cpu_hours=sum(each.cpus * each.seconds for each in holdings) / 3600,
        gpu_hours=sum(each.gpus * each.seconds for each in holdings) / 3600,
        held=sum(each.seconds for each in holdings),
    )


def cost_of(folder: StudyFolder, numbers: Iterable[int]) -> Cost:
    """Of several trials together."""
    return sum((cost(folder, number) for number in numbers), Cost())


def told(cost: Cost) -> str | None:
    """`1.42 GPU-hours and 5.67 CPU-hours held by trials, 93 % of the time in training`; None if nothing was held."""
    if cost.share is None:
        return None
    gpus = f"{hours(cost.gpu_hours)} GPU-hours and " if cost.gpu_hours else ""
    return f"{gpus}{hours(cost.cpu_hours)} CPU-hours held by trials, {100 * cost.share:.0f} % of the time in training"


def hours(count: float) -> str:
    """Hours for reading: `0.0123`, `4.56`, `789`."""
    return f"{count:.0f}" if count >= 100 else f"{count:.3g}"

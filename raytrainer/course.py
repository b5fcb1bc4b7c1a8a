"""What happens beside the trials of a study while they run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raytrainer.config.space import Space

if TYPE_CHECKING:
    from raytrainer.api import Voice
    from raytrainer.search.study import Study


@dataclass(frozen=True)
class Course:
    """Words to the user, an interrupt, losers swept away."""

    study: Study
    space: Space
    voice: Voice | None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.voice is not None:
            self.study.tell = self.voice.say

    def tell(self, text: str) -> None:
        """A line that has to be read even where nobody watches."""
        (print if self.voice is None else self.voice.say)(text)

    def first_batch(self, images: Mapping[str, str]) -> None:
        """Say which images training leaves out as corrupt."""
        from raytrainer.results.announcement import left_out

        for line in left_out(images) if self.voice is not None else ():
            self.tell(f"warning: {line}")

    def interrupt(self) -> None:
        """Ask for a clean end."""
        self.study.closing = True
        self.stop.set()
        if self.voice is not None:
            self.tell("Stopping; every trial keeps its last epoch. Once more ends it at once.")

    def sweep(self, _: int = 0) -> None:
        """Remove what is not to be kept of the trials that have ended."""
        from raytrainer.results.keep import sweep

        if not self.study.behind:  # what is not written yet may have to go on
            sweep(self.study.folder, self.study.snapshot(), self.space.keep)

"""Show a study while it runs, from a thread of its own that can never harm it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from rich.console import Console
from rich.live import Live

from raytrainer.results.lines import PlainLines
from raytrainer.results.live import Asked, LiveView
from raytrainer.results.tally import UNBOUNDED, Pace
from raytrainer.search.budget import Standing

if TYPE_CHECKING:
    from types import TracebackType

    from raytrainer.search.views import TrialView

log = logging.getLogger(__name__)

REDRAW_SECONDS = 0.5
Disk = Callable[[], int | None]
Stands = Callable[[], Standing]
T = TypeVar("T")


class Display(Protocol):
    """Somewhere to show trials."""

    def show(self, views: Sequence[TrialView]) -> None:
        """Show the trials as they are now."""

    def say(self, text: str) -> None:
        """Print one line of text."""

    def close(self) -> None:
        """Give the terminal back."""


class LiveTable:
    """A table that is drawn over and over at the bottom of a terminal."""

    def __init__(self, asked: Asked, console: Console, pace: Pace, standing: Stands, disk: Disk) -> None:
        self._asked, self._pace, self._standing, self._disk = asked, pace, standing, disk
        self._last: LiveView | None = None
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def show(self, views: Sequence[TrialView]) -> None:
        """Draw the table again."""
        self._last = LiveView(views, self._asked, self._pace, standing=self._standing(), disk=self._disk())
        self._live.update(self._last, refresh=True)

    def say(self, text: str) -> None:
        """Print a line above the table, where it stays."""
        self._live.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Leave the last table on the screen, without what is on the disk: that is about to change."""
        if self._last is not None:
            self._live.update(replace(self._last, disk=None), refresh=True)
        self._live.stop()


class Progress:
    """Shows a study from `start` to `stop`, or within a `with` block.

    A live table on a terminal that can draw one, one line an ended trial elsewhere, nothing when quiet. A failure to
    read the trials or to draw them is logged once and ends the display, never the study.

    Args:
        snapshot: gives the study's trials; called from the display's thread, twice a second.
        asked: what was asked for.
        quiet: show nothing.
        standing: tells how the study stands to its budget.
        disk: tells the bytes that the study takes; None where nobody knows.
        console: where to; standard output by default.
    """

    def __init__(
        self,
        snapshot: Callable[[], Sequence[TrialView]],
        asked: Asked,
        *,
        quiet: bool = False,
        standing: Stands = lambda: UNBOUNDED,
        disk: Disk = lambda: None,
        console: Console | None = None,
    ) -> None:
        self._snapshot, self._asked, self._quiet, self._disk = snapshot, asked, quiet, disk
        self._standing = standing
        self._console = console or Console()
        self._display: Display | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._drawing = threading.Lock()

    def start(self) -> None:
        """Begin to show. Trials that have ended before are counted, not told again."""
        if self._quiet:
            return
        self._display = self._guarded(self._open)
        self._draw()
        self._thread.start()

    def say(self, text: str) -> None:
        """Print one line above the display, such as what Ctrl-C will do; nothing when quiet."""
        with self._drawing:
            if (display := self._display) is not None:
                self._guarded(lambda: display.say(text))

    def stop(self) -> None:
        """Show the study once more and give the terminal back. A second call does nothing."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        with self._drawing:
            if (display := self._display) is not None:
                self._guarded(display.close)
            self._display = None

    def __enter__(self) -> Progress:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _open(self) -> Display:
        console = self._console
        if console.is_terminal and not console.is_dumb_terminal and not console.options.ascii_only:
            return LiveTable(self._asked, console, Pace(), self._standing, self._disk)
        return PlainLines(self._asked, console, self._snapshot())

    def _run(self) -> None:
        while not self._stop.wait(REDRAW_SECONDS):
            self._draw()
        self._draw()

    def _draw(self) -> None:
        with self._drawing:
            if (display := self._display) is not None:
                self._guarded(lambda: display.show(self._snapshot()))

    def _guarded(self, action: Callable[[], T]) -> T | None:
        """Do it; if it fails, log why, give the terminal back and show nothing from here on."""
        try:
            return action()
        except Exception:
            log.exception("the progress display failed and is off from here on; the study goes on")
            display, self._display = self._display, None
            if display is not None:
                self._guarded(display.close)
            return None

"""What the terminal shows of a study: counts, the best so far, epochs and time, the running trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raytrainer.config.population import boundaries
from raytrainer.config.problems import counted
from raytrainer.results.announcement import difference
from raytrainer.results.disk_use import size
from raytrainer.results.feasibility import asked_for, verdict
from raytrainer.results.front_table import defaults_told, front_table
from raytrainer.results.ranking import baseline
from raytrainer.results.tally import UNBOUNDED, Pace, Tally, duration, generation, tally
from raytrainer.search.budget import UNITS, Standing
from raytrainer.search.views import TrialView, best_of

if TYPE_CHECKING:
    from raytrainer.config.space import Space

MOST_ROWS = 8
"""Running trials shown, and trials on the front; a cluster may run hundreds."""
WIDEST_BAR = 80
INDENT = (0, 0, 0, 5)


@dataclass(frozen=True)
class Asked:
    """What was asked for: the part of a study that does not change while it runs."""

    name: str
    objectives: Sequence[str]
    """What is maximised; the first is the fitness."""
    trials: int | None
    epochs: int
    budget: Mapping[str, float] = field(default_factory=dict)
    subject_to: Sequence[str] = ()
    boundaries: tuple[int, ...] = ()
    """Epochs after which values change, if the trials are a population."""

    @classmethod
    def of(cls, space: Space) -> Asked:
        """From a study's space."""
        epochs = int(space.train.get("epochs", 100))  # Ultralytics' own default
        search, turns = space.search, tuple(boundaries(space))
        bounds = search.budget.given
        return cls(space.name, space.objectives, search.most_trials, epochs, bounds, space.subject_to, turns)

    @property
    def goal(self) -> str:
        """Objectives and constraints on one line."""
        return asked_for(self.objectives, self.subject_to)

    def __str__(self) -> str:
        """How much: `32 trials of 50 epochs`, `trials of 50 epochs, within 200 epochs and 8 GPU-hours`."""
        trials = "trials" if self.trials is None else counted(self.trials, "trial")
        bounds = " and ".join(f"{bound:.10g} {UNITS[part]}" for part, bound in self.budget.items())
        return f"{trials} of {counted(self.epochs, 'epoch')}" + (f", within {bounds}" if bounds else "")


@dataclass(frozen=True)
class LiveView:
    """A study at one moment, to be printed by rich at any width.

    Args:
        views: its trials.
        asked: what was asked for.
        pace: time since the driver began; None shows no times.
        driven: whether anybody runs the study; else its running trials were interrupted.
        standing: how the study stands to its budget.
        disk: bytes that it takes; None shows none.
    """

    views: Sequence[TrialView]
    asked: Asked
    pace: Pace | None = None
    driven: bool = True
    standing: Standing = UNBOUNDED
    disk: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Head, counts, last failure, best, front, bar, disk and running trials, from top to bottom."""
        asked = self.asked
        now = tally(self.views, asked.trials, asked.epochs, self.standing, together=bool(asked.boundaries))
        yield Text.assemble(
            (self.asked.name, "bold"), f"  fitness {self.asked.goal}", overflow="ellipsis", no_wrap=True
        )
        yield _counts(now, "running" if self.driven else "interrupted")
        if self.standing.spent is not None:
            yield Text(f"{self.standing.spent} are spent: no more is trained", "yellow")
        if self.standing.enough is not None:
            yield Text(f"no more trials are begun: {self.standing.enough}", "yellow")
        if asked.boundaries and self.views:
            yield Text(generation(self.views, asked.boundaries), "dim")
        yield from _failure(self.views)
        yield from _best(self.views, self.asked.subject_to)
        if len(asked.objectives) > 1:
            yield from _front(self.views, asked.objectives)
        yield _bar(now, options.max_width)
        yield Text(_times(now, self.pace))
        if self.disk is not None:
            yield Text(f"{size(self.disk)} on disk", "dim")
        if now.running:
            yield _running(self.views, self.asked.epochs, options.max_width)


def _counts(now: Tally, running: str) -> Text:
    parts = [
        (f"{now.running} {running}", "cyan" if now.running else "dim"),
        (f"{now.complete} complete", "green" if now.complete else "dim"),
        (f"{now.pruned} pruned", "yellow" if now.pruned else "dim"),
        (f"{now.failed} failed", "bold red" if now.failed else "dim"),
    ]
    if now.waiting is not None:
        parts.append((f"{now.waiting} waiting", "" if now.waiting else "dim"))
    if now.paused:
        parts.insert(1, (f"{now.paused} paused", "cyan"))
    return Text("  ").join(Text(text, style) for text, style in parts)


def _failure(views: Sequence[TrialView]) -> Iterator[Text]:
    last = next((view for view in reversed(views) if view.state == "failed"), None)
    if last is not None:
        text = f"trial {last.number} failed: {last.reason}"
        yield Text(text, "red", overflow="ellipsis", no_wrap=True)


def _best(views: Sequence[TrialView], subject_to: Sequence[str]) -> Iterator[RenderableType]:
    best = best_of(views)
    if best is None:
        yield Text("no fitness yet", "dim")
        return
    fitness = (f"{best.best_fitness:.4f}", "bold green")
    yield Text.assemble("best ", fitness, f"  trial {best.number}, epoch {best.best_epoch}")
    if told := verdict(best, subject_to):
        yield Padding(Text(told, "bold red", overflow="fold"), INDENT)
    yield Padding(Text(_against(best, baseline(views))), INDENT)
    yield Padding(Text(parameters(best.present), "dim", overflow="fold"), INDENT)


def _front(views: Sequence[TrialView], objectives: Sequence[str]) -> Iterator[RenderableType]:
    """Which compromises there are, of several objectives; nothing before the first."""
    header, rows = front_table(views, objectives)
    if not rows:
        return
    against = f", {told}" if (told := defaults_told(views)) else ""
    yield Text.assemble("front ", (str(len(rows)), "bold green"), f" trial{'s' if len(rows) > 1 else ''}{against}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in header:
        table.add_column(heading, justify="right", no_wrap=True, overflow="ellipsis")
    for row in rows[:MOST_ROWS]:
        table.add_row(*row)
    yield Padding(table, INDENT)
    if len(rows) > MOST_ROWS:
        yield Padding(Text(f"and {len(rows) - MOST_ROWS} more", "dim"), INDENT)


def _against(best: TrialView, start: TrialView | None) -> str:
    if start is None or start.best_fitness is None:
        return "the defaults have no fitness yet"
    if best.number == start.number:
        return "these are the defaults"
    assert best.best_fitness is not None
    so_far = " so far" if start.state == "running" else ""
    return f"{difference(best.best_fitness, start.best_fitness)} against the defaults' {start.best_fitness:.4f}{so_far}"


def _bar(now: Tally, width: int) -> Text:
    share = now.epochs_done / max(now.epochs_expected, 1)
    room = max(min(width, WIDEST_BAR) - len(" 100 %"), 1)
    done = int(share * room)
    return Text.assemble(("━" * done, "green"), ("─" * (room - done), "dim"), f" {int(100 * share):3d} %")


def _times(now: Tally, pace: Pace | None) -> str:
    epochs = f"{now.epochs_done} of about {now.epochs_expected} epochs"
    if now.epochs_done == now.epochs_expected:
        epochs = f"{now.epochs_done} epochs"
    if pace is None:
        return epochs
    left = pace.left(now)
    tail = "" if not left else f", about {duration(left)} left"
    return f"{epochs}, {duration(pace.elapsed)} gone{tail}"


def _running(views: Sequence[TrialView], epochs: int, width: int) -> RenderableType:
    rows = [view for view in views if view.state == "running"]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", width=min(width, 120))
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("epoch", justify="right", no_wrap=True)
    table.add_column("fitness", justify="right", no_wrap=True)
    table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
    for view in rows[:MOST_ROWS]:
        fitness = f"{view.best_fitness:.4f}" if view.best_fitness is not None else "-"
        table.add_row(str(view.number), f"{view.last_epoch}/{epochs}", fitness, parameters(view.present))
    hidden = len(rows) - MOST_ROWS
    return Group(table, Text(f"and {hidden} more", "dim")) if hidden > 0 else table


def parameters(params: Mapping[str, Any]) -> str:
    """Parameters on one line: `lr0=0.0042 optimizer=AdamW`."""
    return " ".join(f"{key}={scalar(value)}" for key, value in params.items())


def scalar(value: Any) -> str:
    """A parameter's value, floats to four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

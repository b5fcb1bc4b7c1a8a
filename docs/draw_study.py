"""Draw a study's learning curves as an SVG: `python docs/draw_study.py runs/demo docs/demo.svg`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from raytrainer.search.reading import read_views
from raytrainer.search.views import TrialView, best_of

WIDTH, HEIGHT = 760, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 190, 44, 44
GREY, INK, DEFAULTS, BEST = "#b8bec6", "#57606a", "#d97706", "#1a7f37"


class Axes:
    """Epochs and fitness to pixels."""

    def __init__(self, trials: Sequence[TrialView]) -> None:
        self.epochs = max(trial.last_epoch for trial in trials)
        self.top = max(trial.best_fitness or 0.0 for trial in trials) * 1.05

    def x(self, epoch: float) -> float:
        """Pixels from the left."""
        return LEFT + (epoch - 1) / max(1, self.epochs - 1) * (WIDTH - LEFT - RIGHT)

    def y(self, fitness: float) -> float:
        """Pixels from the top."""
        return HEIGHT - BOTTOM - fitness / self.top * (HEIGHT - TOP - BOTTOM)


def curve(axes: Axes, trial: TrialView, colour: str, width: float) -> Iterator[str]:
    """A trial's fitness by epoch, with a dot at its last epoch: filled if it ran to the end, else hollow."""
    points = [(axes.x(epoch), axes.y(trial.values[epoch])) for epoch in sorted(trial.values)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'
    x, y = points[-1]
    fill = colour if trial.state == "complete" else "white"
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{width + 1.5}" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>'


def text(x: float, y: float, words: str, *, colour: str = INK, anchor: str = "start", size: int = 12) -> str:
    """A line of text."""
    style = f'fill="{colour}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def grid(axes: Axes) -> Iterator[str]:
    """Lines and labels of both axes."""
    step = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5) if axes.top / step <= 6)
    for line in range(int(axes.top / step) + 1):
        y = axes.y(line * step)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#eaeef2"/>'
        yield text(LEFT - 8, y + 4, f"{line * step:.2g}", anchor="end")
    for epoch in range(1, axes.epochs + 1):
        yield text(axes.x(epoch), HEIGHT - BOTTOM + 18, str(epoch), anchor="middle")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "epoch", anchor="middle")
    yield text(LEFT, TOP - 14, "fitness: 0.9 mAP50-95 + 0.1 mAP50")


def legend(axes: Axes, best: TrialView, defaults: TrialView) -> Iterator[str]:
    """What the two coloured curves are, beside their ends, and what the grey ones are."""
    x = WIDTH - RIGHT + 14
    for trial, colour, name in ((best, BEST, "best trial"), (defaults, DEFAULTS, "defaults")):
        y = axes.y(trial.values[trial.last_epoch])
        yield text(x, y + 4, f"{name}: {trial.best_fitness:.3f}", colour=colour, size=14)
    yield text(x, HEIGHT - BOTTOM - 20, "grey: the other trials;")
    yield text(x, HEIGHT - BOTTOM - 4, "a hollow end: stopped early")


def draw(trials: Sequence[TrialView]) -> str:
    """The picture of a study that has ended.

    Raises:
        ValueError: if there is nothing to compare: no best trial, or no defaults with a fitness.
    """
    scored = [trial for trial in trials if trial.values]
    best, defaults = best_of(scored), next((trial for trial in scored if trial.number == 0), None)
    if best is None or defaults is None:
        raise ValueError("the study has no best trial or no defaults to compare it with")
    axes = Axes(scored)
    others = [trial for trial in scored if trial.number not in (best.number, 0)]
    lines = [*grid(axes)]
    for trial in others:
        lines += curve(axes, trial, GREY, 1.5)
    lines += [*curve(axes, defaults, DEFAULTS, 2.5), *curve(axes, best, BEST, 2.5), *legend(axes, best, defaults)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>", ""])


if __name__ == "__main__":
    study, picture = sys.argv[1:]
    Path(picture).write_text(draw(read_views(Path(study))), encoding="utf-8")

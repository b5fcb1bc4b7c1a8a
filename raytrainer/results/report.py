"""A study in words and tables: Markdown that reads well in a terminal too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from raytrainer.config.problems import counted
from raytrainer.config.search_size import search_table
from raytrainer.results.announcement import compared, found, retrain_command, shown
from raytrainer.results.cost import cost, cost_of, hours, told
from raytrainer.results.disk_use import disk_use, size
from raytrainer.results.early_stopping import how_it_searches
from raytrainer.results.feasibility import asked_for, share, violation
from raytrainer.results.front_table import defaults_told, front_table
from raytrainer.results.importance import FEWEST, correlations
from raytrainer.results.lineage import came_from, lineage_rows
from raytrainer.results.live import Asked, parameters, scalar
from raytrainer.results.markdown import table
from raytrainer.results.ranking import baseline, ranking
from raytrainer.results.status import activity, why_stopped
from raytrainer.results.tally import duration, generation, tally
from raytrainer.search.views import TrialView, best_of, scored
from raytrainer.trainer.records import EpochRecord, readable_records

if TYPE_CHECKING:
    from raytrainer.results.saved import SavedStudy

TOP = 10


def report(study: SavedStudy) -> str:
    """The whole report; what a study does not have yet is left out or said to be missing."""
    found = [_head, _result, _front, _constraints, _classes, _top, _population]
    sections = [*found, _space, _parameters, _failures, _cost]
    return "\n\n".join(text for section in sections if (text := "\n".join(section(study)))) + "\n"


def _head(study: SavedStudy) -> Iterator[str]:
    asked, space = Asked.of(study.space), study.space
    now = tally(study.trials, asked.trials, asked.epochs, study.standing, together=bool(asked.boundaries))
    yield f"# Study {space.name}\n"
    yield f"- model `{space.model}`, data `{space.data}`, fitness `{asked_for(space.objectives, space.subject_to)}`"
    yield f"- {asked}, {how_it_searches(space)}, seed {space.search.seed}"
    yield f"- in `{shown(study.folder.path)}`; {activity(study)}\n"
    names = ["complete", "pruned", "failed", "running", *(["paused"] if now.paused else [])]
    names += [] if now.waiting is None else ["waiting"]
    counts = [str(getattr(now, name)) for name in names]
    yield table([name if study.driver or name != "running" else "interrupted" for name in names], [counts])


def _result(study: SavedStudy) -> Iterator[str]:
    yield "## Best against the defaults\n"
    best = best_of(study.trials)
    if best is None:
        yield "No trial has a fitness yet."
        return
    if len(study.space.objectives) > 1:
        yield f"By the first objective, `{study.space.objectives[0]}`; all of them are compared below.\n"
    yield f"{found(best, study.space.subject_to)}; {compared(best, baseline(study.trials))}.\n"
    yield f"Parameters: `{parameters(best.present)}`{came_from(best)}"
    if (study.folder.best / "best.yaml").is_file():
        yield f"\nRetrain it: `{retrain_command(study.folder.best / 'best.yaml')}`"


def _front(study: SavedStudy) -> Iterator[str]:
    """The compromises that there are between several objectives."""
    objectives = study.space.objectives
    header, rows = front_table(study.trials, objectives)
    if len(objectives) == 1 or not rows:
        return
    yield "## The front\n"
    count, told = counted(len(rows), "trial"), defaults_told(study.trials)
    yield f"{count} that no other dominates{'; ' + told if told else ''}. All objectives are maximised.\n"
    yield table(header, rows)
    if study.folder.front.is_dir():
        yield f"\nWeights and what trains each again: `{shown(study.folder.front)}`"


def _constraints(study: SavedStudy) -> Iterator[str]:
    """How the best trial and the defaults stand to each, and how many trials keep it."""
    asked, kept = study.space.subject_to, scored(study.trials)
    best, start = best_of(study.trials), baseline(study.trials)
    excluded = [view for view in study.trials if view.state == "pruned" and view.reason]
    if not asked or (best is None and not excluded):
        return
    yield "## Constraints\n"
    rows = []
    for place, text in enumerate(asked):
        cells = [_kept(view, place) for view in (best, start)]
        rows.append([text, *cells, f"{sum(_kept(view, place) == 'kept' for view in kept)} of {len(kept)}"])
    if best is not None:
        yield table(["constraint", "best", "defaults", "trials that keep it"], rows)
    if excluded:
        yield "\n" * (best is not None) + "Ended before their first epoch:\n"
        yield table(["trial", "reason"], [[str(view.number), view.reason or ""] for view in excluded])


def _kept(view: TrialView | None, place: int) -> str:
    by = None if view is None else violation(view, place)
    return "" if by is None else f"violated by {share(by)} of its bound" if by > 0 else "kept"


def _classes(study: SavedStudy) -> Iterator[str]:
    """The best trial and the defaults by class, each at its best epoch; nothing for tasks without such metrics."""
    pair = [view for view in (best_of(study.trials), baseline(study.trials)) if view is not None]
    records = [next((r for r in _records(study, view) if r.epoch == view.best_epoch), None) for view in pair]
    if len(pair) < 2 or None in records:
        return
    found, start = (record.metrics for record in records if record is not None)
    names = [name.removeprefix("AP[").removesuffix("]") for name in found if name.startswith("AP[")]
    if not names:
        return
    yield "## By class\n"
    keys = [f"{metric}[{name}]" for name in names for metric in ("AP", "F1")]
    cells = [f"{metrics[key]:.4f}" for key in keys for metrics in (found, start)]
    rows = [[name, *cells[4 * n : 4 * n + 4]] for n, name in enumerate(names)]
    yield table(["class", "AP best", "AP defaults", "F1 best", "F1 defaults"], rows)


def _top(study: SavedStudy) -> Iterator[str]:
    rows = ranking(study.trials)[:TOP]
    if not rows:
        return
    names = list(dict.fromkeys(name for view in rows for name in view.present))
    yield f"## The best {len(rows)} trials\n"
    header = ["trial", "state", "fitness", "best epoch", "epochs", "GPU-hours", "CPU-hours", *names]
    header[3:3] = ["feasible"] if study.space.subject_to else []
    yield table(header, [_row(study, view, names) for view in rows])


def _row(study: SavedStudy, view: TrialView, names: list[str]) -> list[str]:
    assert view.best_fitness is not None
    values = [scalar(view.present[name]) if name in view.present else "" for name in names]
    number = f"{view.number} (defaults)" if view.number == 0 else str(view.number)
    taken = cost(study.folder, view.number)
    feasible = ["yes" if view.feasible else "NO"] if study.space.subject_to else []
    reached = [f"{view.best_fitness:.4f}", *feasible, str(view.best_epoch), str(view.last_epoch)]
    return [number, view.state, *reached, hours(taken.gpu_hours), hours(taken.cpu_hours), *values]


def _population(study: SavedStudy) -> Iterator[str]:
    """Who went on from whom, and with what; nothing if values do not change."""
    asked = Asked.of(study.space)
    if not asked.boundaries or not study.trials:
        return
    yield "## The population\n"
    yield f"{generation(study.trials, asked.boundaries)}. In the table of trials stand the last values.\n"
    yield table(["trial", "lineage", "values"], lineage_rows(study.trials))


def _space(study: SavedStudy) -> Iterator[str]:
    yield "## What was searched\n"
    rows = search_table(study.space)
    yield table(
        ["parameter", "kind", "range", "default", "only when"],
        [[row.name, row.kind, row.range, row.default, row.condition] for row in rows],
    )
    fixed = {**study.space.train, **study.space.trainer}
    yield f"\nFixed: `{parameters(fixed)}`" if fixed else "\nNothing else was fixed."


def _parameters(study: SavedStudy) -> Iterator[str]:
    if study.space.search.schedule:
        return  # a trial has several values of each, and the weights of others
    yield "## Parameters and fitness\n"
    found = correlations(study.trials)
    if not found:
        yield f"Not shown: a rank correlation needs at least {FEWEST} completed trials with a numeric parameter."
        return
    yield "Spearman's rank correlation with fitness over completed trials. Unrelated parameters stay under the last "
    yield "column in 95 of 100 cases. A search looks more often where it is good: take it as a hint, not an effect.\n"
    header = ["parameter", "correlation", "trials", "chance stays under"]
    yield table(header, [[each.parameter, f"{each.rho:+.2f}", str(each.n), f"{each.chance:.2f}"] for each in found])


def _failures(study: SavedStudy) -> Iterator[str]:
    reasons: dict[str, list[int]] = defaultdict(list)
    for view in study.trials:
        if view.state == "failed":
            reasons[view.reason or "no reason was given"].append(view.number)
    why = why_stopped(study)
    if not reasons and why is None:
        return
    yield "## Failures\n"
    if why is not None:
        yield why + ("\n" if reasons else "")
    rows = sorted(reasons.items(), key=lambda item: -len(item[1]))
    if rows:
        yield table(["times", "reason", "trials"], [[str(len(n)), why, ", ".join(map(str, n))] for why, n in rows])


def _cost(study: SavedStudy) -> Iterator[str]:
    asked = Asked.of(study.space)
    epochs = sum(view.last_epoch for view in study.trials)
    full = len(study.trials) * asked.epochs
    records = [record for view in study.trials for record in _records(study, view)]
    yield "## What it took\n"
    yield f"- {counted(epochs, 'epoch')}, of {full} without early stopping" if full else "- no epochs yet"
    yield f"- {duration(sum(record.epoch_seconds for record in records))} of training, all trials added up"
    if (taken := told(cost_of(study.folder, (view.number for view in study.trials)))) is not None:
        yield f"- {taken}"
    yield f"- {size(disk_use(study.folder.path))} on disk"


def _records(study: SavedStudy, view: TrialView) -> list[EpochRecord]:
    return readable_records(study.folder.records(view.number))

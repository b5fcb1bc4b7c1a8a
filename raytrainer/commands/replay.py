"""`raytrainer replay STUDY`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raytrainer.commands.parser import Parser
from raytrainer.commands.study_argument import add_study

if TYPE_CHECKING:
    from raytrainer.search.replay import Replayed
    from raytrainer.search.replay_population import Redecided


def parser() -> Parser:
    """What may be given."""
    made = Parser(
        "replay",
        "Draws every suggestion of a study again, from what the study held when it was drawn, and says which come out\n"
        "the same and what the model expected of them. Each generation of a population is decided again as well: who\n"
        "goes on from whom, and with which values. Needs neither Ray, but for its schedulers in a population, nor a\n"
        "GPU, nor the images. What another version has drawn may differ, and what was drawn before an earlier version\n"
        "extended the study. Exit status 1 if anything differs, or if a generation's record is missing.",
        "  raytrainer replay detr\n  raytrainer replay detr --trial 12",
    )
    add_study(made)
    made.add_argument("--trial", metavar="N", type=int, help="tell of this trial only")
    return made


def run(args: Namespace) -> int:
    """Print a line a trial, one a generation, and a summary; 0 if all come out the same, else 1.

    Raises:
        UserError: if there is no such study, or no such trial.
    """
    from raytrainer.config.problems import Problem, UserError
    from raytrainer.results.saved import read_study
    from raytrainer.search.replay import replay
    from raytrainer.search.replay_population import redecide

    study = read_study(args.study, args.storage)
    views = study.trials if args.trial is None else study.trials[: args.trial + 1]
    if args.trial is not None and not 0 <= args.trial < len(study.trials):
        message = f"there is no trial {args.trial}: the study has {len(study.trials)}, counted from 0"
        raise UserError([Problem("--trial", None, None, message)])
    told = []
    for one in replay(study.space, views, study.earlier):
        if args.trial in (None, one.number):
            print(line(one), flush=True)
            told.append(one)
    turned = []
    for each in redecide(study.space, study.trials, study.generations):
        if shown := each if args.trial is None else each.of_trial(args.trial):
            print(generation_line(shown), flush=True)
            turned.append(shown)
    suggested = [one.agrees for one in told if one.again is not None]
    print(summary(suggested, turned))
    return 0 if all(suggested) and all(each.agrees for each in turned) else 1


def summary(suggested: Sequence[bool], turned: Sequence[Redecided]) -> str:
    """How many come out the same, and how many were not drawn again."""
    drawn = [each.agrees for each in turned if not each.undrawn]
    generations = f" and {sum(drawn)} of {len(drawn)} generations" if drawn else ""
    undrawn = f"; generations not decided again: {len(turned) - len(drawn)}" if len(drawn) < len(turned) else ""
    return f"{sum(suggested)} of {len(suggested)} suggestions{generations} come out the same{undrawn}"


def line(one: Replayed) -> str:
    """A trial in one line."""
    if one.again is None:
        return f"trial {one.number}: not suggested"
    return f"trial {one.number}: {_verdict(one)}; {_reason(one)}; {one.waited_for} other trials had not ended"


def generation_line(one: Redecided) -> str:
    """A generation in one line."""
    begin = f"generation up to epoch {one.epoch}"
    if one.held is None or one.undrawn:
        return f"{begin}: not decided again, {one.undrawn}"
    changed = "; ".join(f"trial {e.trial}: {e.key} was {e.held}, is {e.again}" for e in one.differences)
    sources = sorted((clone.trial, clone.source) for clone in one.held.clones)
    clones = ", ".join(f"trial {trial} goes on from trial {source}" for trial, source in sources)
    return f"{begin}: {f'DIFFERS: {changed}' if changed else 'the same'}; {clones or 'no values change'}"


def _verdict(one: Replayed) -> str:
    again = one.again or {}
    changed = [name for name in {**one.params, **again} if one.params.get(name) != again.get(name)]
    shown = ", ".join(f"{name} was {one.params.get(name)}, is {again.get(name)}" for name in changed)
    return f"DIFFERS: {shown}" if changed else "the same"


def _reason(one: Replayed) -> str:
    if not one.why:
        return "drawn without a model of what to expect"
    from raytrainer.search.gp.sampler import WEIGHT

    expected, low, high, best = (one.why[key] for key in ("expected", "from", "to", "best"))
    weights = " and ".join(f"{value:.2g}" for key, value in one.why.items() if key.startswith(WEIGHT))
    of = f" of the objectives, weighted by {weights}," if weights else ""
    return f"expected{of} {expected:.4g} ({low:.4g} to {high:.4g}) where {best:.4g} was expected of the best before"

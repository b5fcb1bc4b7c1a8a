"""Whether a study may go on with this package and this space, and what is kept of both."""

from __future__ import annotations

from collections.abc import Mapping

from raytrainer.config.earlier import up_to_date
from raytrainer.config.problems import KeyPath, Problem, UserError
from raytrainer.config.space import Space
from raytrainer.search.changes import Plain, differences, resolved
from raytrainer.search.disk import GENERATION
from raytrainer.search.earlier_spaces import EARLIER, earlier_and
from raytrainer.search.extension import TAKEN, only_widens, taken_by
from raytrainer.search.ledger import Ledger
from raytrainer.search.suggestion import distribution

FORMAT = 1
"""Of what a study's attributes and notes mean. A study without one is from before there were two."""


def settle(ledger: Ledger, space: Space, place: str, *, extend: bool) -> None:
    """Keeps the space with a new study; holds it against the space of one that has trials. Writes to no foreign one.

    One without any was opened and then refused, as by a first batch that did not fit: its space is to be mended.

    Args:
        ledger: of the study.
        space: what is asked for.
        place: what its storage is called in messages.
        extend: go on with a space that only widens the one that the study was begun with.

    Raises:
        UserError: if a newer version of this package made the study, if another package did, or if the space differs.
    """
    attrs, trials = ledger.attrs(), ledger.trials()
    _readable(attrs, place, ours=not trials and _just_made(attrs) and ledger.objectives == len(space.objectives))
    ledger.claim()
    stored, asked = up_to_date(attrs.get("space", {})), resolved(space)
    taken = stored.get(TAKEN, {})
    if trials and (changed := differences(_without_taken(stored), space)):
        _raise_unless_wider(changed, stored, space, extend=extend)
        ledger.set_attr(EARLIER, earlier_and(attrs, len(trials), stored))
        taken = taken_by(trials, stored, space)
    if "format" not in attrs:
        ledger.set_attr("format", FORMAT)
    kept = {**asked, **({TAKEN: taken} if taken and trials else {})}
    if stored != kept:
        ledger.set_attr("space", kept)
    ledger.adapt({name: distribution(parameter) for name, parameter in space.space.items()})


def _just_made(attrs: Plain) -> bool:
    """Whether nobody has kept anything with a study but what is kept first."""
    return set(attrs) <= {GENERATION, "format"}


def _readable(attrs: Plain, place: str, *, ours: bool) -> None:
    """`ours`: even if it does not say so, as one does not whose driver was killed when it had just been made."""
    message = ""
    if "space" not in attrs and not ours:
        message = f"{place} is an Optuna study, but none of this package"
    if (made := attrs.get("format", FORMAT)) > FORMAT:
        message = f"{place} was made by a newer version of this package, which is needed to go on (format {made})"
    if message:
        raise UserError([Problem(None, None, None, message)])


def _raise_unless_wider(changed: Mapping[KeyPath, Problem], stored: Plain, space: Space, *, extend: bool) -> None:
    """Lets changes pass that are asked for and only widen; tells all of them, or those that do not."""
    asked = resolved(space)
    narrower = [problem for path, problem in changed.items() if not only_widens(path, stored, asked)]
    if extend and not narrower:
        return
    anew = "or begin anew: --fresh, or another --name"
    if extend:
        advice = f"these do not only widen the space of the study {space.name!r}: put them back, {anew}"
        raise UserError([*narrower, Problem(None, None, None, advice)])
    advice = f"the study {space.name!r} exists with another space: put these back, {anew}"
    wider = "" if narrower else "; they only widen it, so --extend takes them"
    raise UserError([*changed.values(), Problem(None, None, None, advice + wider)])


def _without_taken(stored: Plain) -> Plain:
    return {key: value for key, value in stored.items() if key != TAKEN}

"""The batch that is tried before a search, in a process that has not imported Ultralytics yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raytrainer.config.assemble import assemble, defaults
from raytrainer.config.placement import placed
from raytrainer.config.problems import raise_for
from raytrainer.config.unchanged import kept_by_none
from raytrainer.trainer.environment import prepare_process

if TYPE_CHECKING:
    from raytrainer.config.space import Space
    from raytrainer.trainer.probe import ProbeReport


def try_one_batch(space: Space) -> ProbeReport:
    """Set up the run of the space's defaults and train one batch of it; see `probe`.

    Raises:
        UserError: with the file and line, or the flag, of what cannot be run, or of a constraint that no trial keeps.
    """
    prepare_process(offline=False)
    from raytrainer.trainer.probe import probe

    with placed(space):
        report = probe(assemble(space, defaults(space)))
    raise_for(kept_by_none(space, report.measured) if report.measured else ())
    return report

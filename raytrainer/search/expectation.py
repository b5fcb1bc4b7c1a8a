"""What the trials that are left are expected to gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raytrainer.config.space import Space
from raytrainer.search.enough import LEAST_COMPLETE, Enough, enough
from raytrainer.search.frozen import frozen
from raytrainer.search.gp.encoding import Encoding
from raytrainer.search.gp.gain import expected_gain
from raytrainer.search.gp.model import Model
from raytrainer.search.gp.observations import observe
from raytrainer.search.gp.sampler import MultiFidelitySampler
from raytrainer.search.rungs import full_length
from raytrainer.search.samplers import sampler_class, trial_seed
from raytrainer.search.suggestion import distribution
from raytrainer.search.views import TrialView


def expected(space: Space, views: Sequence[TrialView], trials: int) -> tuple[float | None, Enough | None]:
    """What so many further trials are expected to gain, if the space asks for that, and whether it is too little."""
    if space.search.min_gain is None:
        return None, None
    gain = gain_of(space, views, trials)
    return gain, enough(space.search, views, gain, trials)


def gain_of(space: Space, views: Sequence[TrialView], trials: int) -> float | None:
    """The fitness that so many further trials are expected to gain, a function of the study and its seed.

    See `gp.gain.expected_gain`. None if the sampler has no model, nothing is to come, too few trials are complete, or
    nothing that was tried is likely to keep the constraints: what would keep them is worth any fitness. None of several
    objectives, since there is no one best to gain on.
    """
    complete = sum(view.state == "complete" for view in views)
    named = {name: distribution(parameter) for name, parameter in sorted(space.space.items())}
    searched = {name: among for name, among in named.items() if not among.single()}
    if sampler_class(space.search.sampler) is not MultiFidelitySampler or complete < LEAST_COMPLETE:
        return None
    if trials < 1 or not searched or len(space.objectives) > 1:
        return None
    past = [frozen(view, space, running=view.state == "running") for view in views]
    encoding, full = Encoding(searched), full_length(space)
    points = encoding.encode([trial.params for trial in past])
    seen = observe(past, 1.0, full, inputs=encoding.inputs(points))
    model = Model.after(encoding, past, points, seen, full)
    rng = np.random.default_rng(trial_seed(space.search.seed, len(views)))
    return expected_gain(model, seen, trials, rng) if model.feasible else None

"""Which trials no other one beats in every objective, and in what order all of them stand where there are several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from raytrainer.search.views import TrialView, rank, scored

Array = NDArray[np.float64]


def front(views: Iterable[TrialView]) -> list[TrialView]:
    """The trials of which none is better in one objective and as good in all others, the best first objective first.

    Of full length and without a violated constraint, as `views.best_of`, which is the first of them: of shorter ones if
    none is, and that one alone if all violate something. With one objective it is alone too. Of equals, the first.
    """
    ordered = sorted(scored(views), key=rank, reverse=True)
    best = ordered[:1]
    if not best or not best[0].feasible:
        return best
    level = rank(best[0])[:2]
    first = {view.objectives: view for view in reversed(ordered) if rank(view)[:2] == level}
    members = list(reversed(first.values()))
    layer = layers(np.array([view.objectives for view in members]))
    return [view for view, behind in zip(members, layer, strict=True) if not behind]


def layers(vectors: Array) -> NDArray[np.int64]:
    """Non-dominated sorting of (n, m) vectors, larger is better: 0 on the front, 1 on what would be without it, ..."""
    reaches = np.ones((len(vectors), len(vectors)), dtype=bool)
    for column in vectors.T:
        reaches &= column[:, None] >= column[None]
    beats = reaches & ~reaches.T
    before, layer = beats.sum(0), np.full(len(vectors), -1)
    while (layer < 0).any():
        now = (layer < 0) & (before == 0)
        layer[now] = layer.max(initial=-1) + 1
        before -= beats[now].sum(0)
    return layer


def places(vectors: Sequence[Sequence[float]]) -> list[float]:
    """How vectors compare, larger is better: by layer, and within one as an epsilon-net takes them; equals are equal.

    Schmucker et al., Multi-objective Asynchronous Successive Halving, arXiv 2106.12639: of a layer first the vector
    with the best first objective, then whichever lies furthest from those before, so that any number of the first cover
    it. Distances are in ranges of the objectives.
    """
    different, which = np.unique(np.array(vectors, dtype=float), axis=0, return_inverse=True)
    ranges = different.max(0) / 2 - different.min(0) / 2  # halved: the difference of two floats may not be one
    scaled = different / 2 / np.where(ranges > 0, ranges, 1.0)
    layer = layers(different)
    order = [int(place) for level in range(layer.max() + 1) for place in _net(scaled, np.flatnonzero(layer == level))]
    place_of = {place: float(-position) for position, place in enumerate(order)}
    return [place_of[int(place)] for place in which.reshape(-1)]


def _net(vectors: Array, members: NDArray[np.int64]) -> list[int]:
    """Members, sorted as their vectors are, from the last on by their distance to all before."""
    chosen, distance = [len(members) - 1], np.full(len(members), np.inf)
    while len(chosen) < len(members):
        latest = vectors[members[chosen[-1]]]
        distance = np.minimum(distance, np.linalg.norm(vectors[members] - latest, axis=1))
        distance[chosen] = -1.0  # so near to another one may be that the distance is 0
        chosen.append(int(distance.argmax()))
    return [int(member) for member in members[chosen]]

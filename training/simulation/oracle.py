"""What an oracle knows: the probability of leaving by the true hazard, and what an action changes in it."""

from __future__ import annotations

import numpy as np

from training.simulation.company import HORIZON, Company, Floats
from training.simulation.dice import Dice
from training.simulation.hazard import hazard
from training.simulation.life import live
from training.simulation.log import Nowhere
from training.simulation.people import People

PATHS = 8


def leaving(
    people: People, day: int, company: Company, rng: np.random.Generator, paths: int = PATHS
) -> Floats:
    """Return the probability of leaving willingly in the `HORIZON` days from `day` on, float64[n].

    From the whole true state before that day, `paths` futures are imagined with all that may happen in
    them; in each the hazard is summed, and 1 - exp(-sum) averaged over the futures. So it is exact but
    for the error of a mean of `paths`, and given that nothing ends the relationship against their will.
    """
    n = len(people)
    imagined = people.take(np.tile(np.arange(n), paths))
    total = np.zeros(n * paths)
    for ahead in range(day, day + HORIZON):
        dice = Dice(rng, n * paths)
        live(imagined, ahead, company, dice, Nowhere())
        total += hazard(imagined, ahead, company)
    return np.asarray((-np.expm1(-total)).reshape(paths, n).mean(axis=0))


def difference(
    people: People, effect: Floats, day: int, lasts: int, company: Company, seed: tuple[int, ...]
) -> Floats:
    """Return by how much an action changes that probability from the day after it; both arms live the same.

    Without it, no action runs that day; others may follow in either arm.
    """
    chances = []
    for added in (np.zeros(len(people)), effect):
        arm = people.take(np.arange(len(people)))
        arm.treated_until[:], arm.treated_effect[:] = day + lasts, added
        chances.append(leaving(arm, day + 1, company, np.random.default_rng(seed)))
    return chances[1] - chances[0]

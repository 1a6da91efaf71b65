"""The corridor as operations need it: the map, how customers differ on it, and what to repair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.clock import local_date
from features.corridor_map import CorridorMap, Slice, draw_map
from features.errors import CorredorError
from features.histories import Histories
from features.profile import LIFECYCLE
from features.stretches import NONE
from training.bundle import Bundle
from training.config import Config
from training.repairs import RepairList, repair_list
from training.slices import LEFT, STAYED, left_afterwards, lifecycle_of_steps, segments, teams_of_steps


@dataclass(frozen=True)
class Corridor:
    """The map, its parts, and the repair list."""

    map: CorridorMap
    as_of_us: int
    channel: str | None
    """The only journeys looked at come through this channel; None: all."""
    parts: dict[tuple[int, int], Slice]
    """(Position in LIFECYCLE, position in `Steps.channels`) -> their contacts; NONE is all of them.

    The channel of a stretch is that of the contact it leads to."""
    segments: dict[str, Slice]
    afterwards: dict[str, Slice]
    """`left`: contacts after which the customer left within the horizon; `stayed`: the others. Empty where
    there is too little history."""
    teams: dict[str | None, Slice]
    """By the team that took a contact; None: those that are not told by themselves (`teams_of_steps`)."""
    repairs: RepairList


def read_corridor(
    histories: Histories,
    config: Config,
    as_of_us: int,
    *,
    channel: str | None = None,
    bundle: Bundle | None = None,
) -> Corridor:
    """Return the corridor as it was known before a moment.

    Args:
        histories: what is at hand; nothing known at or after `as_of_us` is looked at.
        config: the configuration: targets, labels, what leaving is.
        as_of_us: µs UTC.
        channel: only the journeys that come through it; all by default.
        bundle: the model whose probabilities of leaving the repair list takes; None does without.

    Raises:
        CorredorError: nothing was known by then, or there is no such channel.
    """
    drawn = draw_map(histories, config, as_of_us, channel=channel)
    if not len(drawn.steps):
        raise CorredorError(
            f"nothing is known of any customer before {local_date(as_of_us, config.project.zone)}. "
            f"The touchpoints begin on {local_date(histories.span()[0], config.project.zone)}: "
            "choose a later --as-of."
        )
    steps = drawn.steps
    known = histories.known_before(as_of_us)
    stage = lifecycle_of_steps(known, config, steps)
    teams, of_team = teams_of_steps(known, steps)
    names, of_customer = segments(histories, as_of_us)
    afterwards = left_afterwards(known, config, steps)
    ends: dict[str, Slice] = {}
    if (afterwards == LEFT).any() and (afterwards == STAYED).any():
        stayed, left = drawn.parts(afterwards, 2)
        ends = {"left": left, "stayed": stayed}
    return Corridor(
        drawn,
        as_of_us,
        channel,
        _crossed(drawn, stage),
        dict(zip(names, drawn.parts(of_customer[steps.customer], len(names)), strict=True)),
        ends,
        dict(zip(teams, drawn.parts(of_team, len(teams)), strict=True)),
        repair_list(known, config, steps, drawn.flow, drawn.targets, bundle),
    )


def _crossed(
    drawn: CorridorMap, stage: np.ndarray[tuple[int], np.dtype[np.int8]]
) -> dict[tuple[int, int], Slice]:
    """Measure each lifecycle stage, each channel, and each stage in each channel."""
    channels, stages = len(drawn.steps.channels), len(LIFECYCLE)
    found = {(NONE, NONE): drawn.whole}
    found |= {(s, NONE): part for s, part in enumerate(drawn.parts(stage, stages))}
    if channels:
        here, there = drawn.steps.channel, drawn.channels_of_passages()
        of_channel = drawn.parts(here, channels, of_passage=there)
        found |= {(NONE, c): part for c, part in enumerate(of_channel)}
        cross = [np.where(c >= 0, stage.astype(np.int64) * channels + c, NONE) for c in (here, there)]
        both = drawn.parts(cross[0], stages * channels, of_passage=cross[1])
        found |= {divmod(p, channels): part for p, part in enumerate(both)}
    return found

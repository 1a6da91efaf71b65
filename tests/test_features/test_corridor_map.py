"""The map: its parts add up to the whole, and nothing later than its date is in it."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from features.corridor_map import draw_map
from features.errors import CorredorError
from features.histories import build_histories
from features.settings import DataSettings, Project, TouchpointKind
from tests.corridor_oracle import fates
from tests.literals import at, histories
from tests.test_features.test_stretches import random_log

KINDS = {"claim": TouchpointKind(deadline_days=3), "visit": TouchpointKind(promised_minutes=4000)}
SETTINGS = DataSettings(project=Project(name="test"), sources={"touchpoints": ""}, touchpoints=KINDS)
UNTIL = at("2025-03-01")


@pytest.fixture(scope="module")
def drawn():
    return draw_map(build_histories({"touchpoints": random_log(1)}), SETTINGS, UNTIL)


def test_stretches_are_told_busiest_first_with_what_flows_in_them(drawn):
    volume = drawn.whole.measured.volume
    assert (volume > 0).all() and (np.diff(volume) <= 0).all()
    assert volume.sum() == (drawn.steps.after >= 0).sum()
    assert drawn.periods.arrivals.shape == (len(volume), len(drawn.periods.starts))
    assert len(drawn.worsened) == len(volume)
    assert ((drawn.blocked >= 0) & (drawn.blocked <= np.nan_to_num(drawn.whole.held) + 1e-12)).all()
    assert drawn.blocked.max() > 0


def test_the_parts_of_the_contacts_add_up_to_the_whole(drawn):
    channels = len(drawn.steps.channels)
    parts = drawn.parts(drawn.steps.channel, channels, of_passage=drawn.channels_of_passages())
    assert sum(p.contacts for p in parts).tolist() == drawn.nodes.contacts.tolist()
    assert sum(p.measured.volume for p in parts).tolist() == drawn.whole.measured.volume.tolist()
    halves = drawn.parts(np.where(np.arange(len(drawn.steps)) % 2, 0, -1), 1)
    assert halves[0].contacts.sum() == len(drawn.steps) // 2, "a negative part is left out"


def test_a_passage_is_of_the_channel_that_it_leads_to(drawn):
    steps = drawn.steps
    parts = drawn.parts(steps.channel, len(steps.channels), of_passage=drawn.channels_of_passages())
    for c, part in enumerate(parts):
        for place, stretch in enumerate(drawn.stretches):
            before, after = divmod(int(stretch), len(steps.kinds))
            goes = (steps.after >= 0) & (steps.kind == before) & (steps.kind[steps.after] == after)
            assert part.measured.volume[place] == (goes & (steps.channel[steps.after] == c)).sum()


def test_what_came_to_be_known_later_changes_nothing(drawn):
    log = random_log(1)
    early = log.filter(np.array(log["occurred_at"].cast(pa.int64())) < UNTIL)
    same = draw_map(build_histories({"touchpoints": early}), SETTINGS, UNTIL)
    assert len(early) < len(log)
    assert same.stretches.tolist() == drawn.stretches.tolist()
    for name in drawn.whole.measured.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(same.whole.measured, name), getattr(drawn.whole.measured, name))
    np.testing.assert_array_equal(same.whole.held, drawn.whole.held)
    assert same.flow.status.tolist() == drawn.flow.status.tolist()
    assert same.worsened == drawn.worsened


@pytest.mark.parametrize("seed", range(4))
def test_what_is_held_up_after_each_team_equals_a_slow_loop(seed):
    log = random_log(seed, cased=1.0).drop_columns("wait_minutes")
    teams = np.random.default_rng(seed).choice(["north", "south", None], len(log))
    log = log.append_column("team", pa.array(teams.tolist(), pa.string()))
    log = log.filter(np.isin(log["outcome"].to_pylist(), ["open", "done"]))
    until = at("2026-01-01")  # so late that nothing is still open within its deadline
    kinds = {
        k: TouchpointKind(deadline_days=days) for k, days in {"claim": 7, "repair": 3, "call": 12}.items()
    }
    drawn = draw_map(
        build_histories({"touchpoints": log}), SETTINGS.model_copy(update={"touchpoints": kinds}), until
    )
    steps, n = drawn.steps, len(drawn.steps.kinds)
    assert steps.teams == ("north", "south") and (steps.team == -1).any()
    limit, deadline = drawn.targets.limit, drawn.targets.deadline
    theirs = fates(
        log,
        steps.gap,
        until,
        {k: int(deadline[s]) for s, k in enumerate(steps.kinds) if deadline[s] > 0},
        {(a, b): int(limit[s]) for s in range(n * n) for a, b in [drawn.pair(s)] if limit[s] > 0},
        of="team",
    )
    held, known = Counter(), Counter()
    for (before, after, state, team), count in theirs.items():
        assert state != "open"
        known[team, before, after] += count
        held[team, before, after] += count * (state != "on time")
    for team, part in zip(steps.teams, drawn.parts(steps.team, 2), strict=True):
        for place, stretch in enumerate(drawn.stretches):
            key = (team, *drawn.pair(stretch))
            assert part.known[place] == known[key]
            assert not known[key] or part.held[place] == held[key] / known[key]
    assert sum(held.values()) > 30


def test_the_team_is_the_one_that_took_the_contact():
    """One order taken by north waits 4 of 3 days at most for south; the other goes on in time."""
    log = histories("""
        customer_id  occurred_at  kind      case_id  team
        ana          2025-01-01   order     a        north
        ana          2025-01-05   delivery  a        south
        bo           2025-01-01   order     b        north
        bo           2025-01-02   delivery  b        -
    """)
    kinds = {"order": TouchpointKind(deadline_days=3)}
    drawn = draw_map(log, SETTINGS.model_copy(update={"touchpoints": kinds}), UNTIL)
    north, south = drawn.parts(drawn.steps.team, 2)
    assert (north.known.tolist(), north.held.tolist()) == ([2], [0.5])
    assert south.known.tolist() == [0] and np.isnan(south.held).all()
    assert [north.contacts.tolist(), south.contacts.tolist()] == [[0, 2], [1, 0]]


def test_a_channel_that_is_not_in_the_data_is_an_error_with_the_near_ones(drawn):
    histories = build_histories({"touchpoints": random_log(1)})
    only = draw_map(histories, SETTINGS, UNTIL, channel="web")
    assert 0 < len(only.steps) < len(drawn.steps)
    with pytest.raises(CorredorError, match="Did you mean phone"):
        draw_map(histories, SETTINGS, UNTIL, channel="phnoe")


def test_before_anything_is_known_the_map_is_empty():
    empty = draw_map(build_histories({"touchpoints": random_log(1)}), SETTINGS, at("2020-01-01"))
    assert len(empty.stretches) == 0 and empty.steps.kinds == ()

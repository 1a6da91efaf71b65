"""The map: its parts add up to the whole, and nothing later than its date is in it."""

import numpy as np
import pyarrow as pa
import pytest

from features.corridor_map import draw_map
from features.errors import CorredorError
from features.histories import build_histories
from features.settings import DataSettings, Project, TouchpointKind
from tests.literals import at
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


def test_a_channel_that_is_not_in_the_data_is_an_error_with_the_near_ones(drawn):
    histories = build_histories({"touchpoints": random_log(1)})
    only = draw_map(histories, SETTINGS, UNTIL, channel="web")
    assert 0 < len(only.steps) < len(drawn.steps)
    with pytest.raises(CorredorError, match="Did you mean phone"):
        draw_map(histories, SETTINGS, UNTIL, channel="phnoe")


def test_before_anything_is_known_the_map_is_empty():
    empty = draw_map(build_histories({"touchpoints": random_log(1)}), SETTINGS, at("2020-01-01"))
    assert len(empty.stretches) == 0 and empty.steps.kinds == ()

"""The same person, or the same team, again: hand-worked, as features and as signals of what binds."""

from dataclasses import replace

import numpy as np
import pytest

from features.catalog import FittedFeatures, fit_features
from features.settings import Activity
from features.signals import signals
from tests.literals import at, histories, settings

UNTIL = "2026-04-01"
ANA = """
customer_id  occurred_at  kind     agent_id  team
ana          2026-01-05   meeting  {a}       north
ana          2026-02-05   meeting  {b}       north
ana          2026-03-05   meeting  {c}       {last}
"""


def crowd(team, agent, last: str = "south") -> FittedFeatures:
    """Return the features of a company of 40, each served three times by a team and an agent."""
    rows = [ANA.strip().format(a=agent(0, 0), b=agent(0, 1), c=agent(0, 2), last=last)]
    rows += [
        f"c{who:02d}  2026-0{month + 1}-10  meeting  {agent(who, month)}  {team(who, month)}"
        for who in range(1, 40)
        for month in range(3)
    ]
    return fitted("\n".join(rows))


def fitted(log: str) -> FittedFeatures:
    until = at(UNTIL)
    return fit_features(
        histories(log), settings(windows_days=(28, 182, 364)), Activity(), fit_before=until, until=until
    )


def moves(who: int, month: int) -> str:
    """Return a team that one in four customers leave before their third contact."""
    return "south" if who % 4 == 0 and month == 2 else "north"


def ever_new(who: int, month: int) -> str:
    """Return an agent whom nobody meets twice."""
    return f"a{who}-{month}"


def always(who: int, month: int) -> str:
    """Return the agent of a customer."""
    return f"a{who % 5}"


def told(of: FittedFeatures) -> dict[str, float]:
    history = histories(ANA.format(a="a0", b="a1", c="a2", last="south"))
    row = of.snapshots(history, [at("2026-03-12")])[0, 0].astype(float)
    return dict(zip(of.names, row.tolist(), strict=True))


def bonds(of: FittedFeatures) -> list[str]:
    v, paths = of.context.vocabulary, of.context.population.paths
    return [s.name for s in signals(v, paths) if s.cost == "psychological"]


def test_a_new_team_is_dated_and_the_same_one_has_a_length():
    found = told(crowd(moves, ever_new))
    assert found["meeting_days_since_team_change"] == found["meeting_team_bond_days"] == 7
    weights = 0.5 ** (np.array([35, 7]) / 180)
    assert found["meeting_team_kept"] == pytest.approx(weights[0] / weights.sum(), rel=1e-5)
    assert found["meeting_team_changed_felt"] == pytest.approx(0.5 ** (7 / 60), rel=1e-5)


def test_a_team_is_told_in_words_of_a_team():
    of = crowd(moves, ever_new)
    words = {f.name: f.sentence for f in of.features if f.moment == "meeting.people"}
    assert words["meeting_days_since_team_change"].en == "meeting: the team changed on {value}"
    assert words["meeting_team_bond_days"].es == "meeting: el mismo equipo desde hace {value} días"


def test_where_persons_change_the_team_is_what_binds():
    of = crowd(moves, ever_new)
    assert bonds(of) == ["meeting_team_kept"]
    found = told(of)
    # of 40 customers ten have one of two contacts with the same team, as ana has: half of them below her
    assert found["switching_psychological_index"] == pytest.approx(100 * 5 / 40)
    assert found["switching_psychological_coverage"] == 1


def test_where_persons_stay_the_person_binds_and_the_team_is_not_told_a_second_time():
    of = crowd(moves, always)
    assert bonds(of) == ["meeting_agent_kept", "meeting_bond_days"]
    assert "meeting_team_kept" in of.names, "as a feature it is there all the same"


def test_a_team_that_never_changes_is_that_of_the_place_and_says_nothing():
    of = crowd(lambda who, month: f"branch{who % 3}", ever_new, last="north")
    assert of.context.population.paths.same_team[0] > 0.9
    assert bonds(of) == [] and not any("team_kept" in name for name in of.names)


def test_a_team_that_is_drawn_anew_each_time_is_no_bond():
    of = crowd(lambda who, month: f"t{(7 * who + 5 * month) % 11}", ever_new)
    assert of.context.population.paths.same_team[0] < 0.05
    assert bonds(of) == [] and not any("team_kept" in name for name in of.names)


def test_without_teams_there_is_no_signal_of_them():
    log = "customer_id occurred_at kind agent_id\nana 2026-01-01 meeting eva\nana 2026-02-01 meeting eva"
    assert not any("team" in name for name in [*fitted(log).names, *bonds(fitted(log))])
    of = crowd(moves, ever_new)
    without = replace(of.context.vocabulary, codes=("agent_id",))
    assert not [s for s in signals(without, of.context.population.paths) if s.cost == "psychological"]

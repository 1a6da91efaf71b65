"""Which teams are told by themselves: none that is small, and none that is one person."""

from features.stretches import steps_of
from tests.literals import at, histories
from training.slices import FEWEST_CONTACTS, MOST_TEAMS, teams_of_steps

UNTIL = at("2026-01-01")


def teams(rows):
    """Return the teams told, and the contacts of each; rows are (team, agent, contacts)."""
    text = ["customer_id occurred_at kind team agent_id"]
    for n, (team, agent, contacts) in enumerate(rows):
        text += [f"c{n}-{k} 2025-03-01 call {team} {agent}" for k in range(contacts)]
    known = histories("\n".join(text))
    steps = steps_of(known, UNTIL)
    names, found = teams_of_steps(known, steps)
    return {name: int((found == n).sum()) for n, name in enumerate(names)}, int((found < 0).sum())


def test_the_most_used_come_first_and_small_ones_are_told_together():
    many = FEWEST_CONTACTS
    told, of_none = teams(
        [
            ("south", "-", many),
            ("north", "-", many + 1),
            ("east", "-", many - 1),
            ("west", "-", 2),
            ("-", "-", 7),
        ]
    )
    assert told == {"north": many + 1, "south": many, None: many + 1}
    assert list(told) == ["north", "south", None] and of_none == 7


def test_a_team_in_which_one_person_serves_is_not_told_by_itself():
    many = FEWEST_CONTACTS
    rows = [("solo", "ana", many), ("solo", "-", 50), ("pair", "bo", many), ("pair", "cy", 1)]
    assert teams(rows)[0] == {"pair": many + 1, None: many + 50}
    assert teams([("unnamed", "-", many)])[0] == {"unnamed": many}


def test_beyond_twelve_teams_the_less_used_are_told_together():
    rows = [(f"t{n:02d}", "-", FEWEST_CONTACTS + n) for n in range(MOST_TEAMS + 2)]
    told, _ = teams(rows)
    assert list(told) == [f"t{n:02d}" for n in range(MOST_TEAMS + 1, 1, -1)] + [None]
    assert told[None] == 2 * FEWEST_CONTACTS + 1


def test_where_nobody_names_a_team_there_is_none():
    known = histories("customer_id occurred_at kind\nana 2025-03-01 call")
    names, found = teams_of_steps(known, steps_of(known, UNTIL))
    assert names == () and found.tolist() == [-1]

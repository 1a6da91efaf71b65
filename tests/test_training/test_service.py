"""How customers were served: by encounter, by team, and by person for those who may know."""

from types import SimpleNamespace

import pytest

from features.errors import CorredorError
from features.settings import Activity, Channel, People, TouchpointKind
from features.vocabulary import fit_vocabulary
from tests.literals import at, histories, settings
from training.service import FEWEST_ANSWERS, served_by

LOG = "\n".join(
    [
        "customer_id  occurred_at  recorded_at  kind  channel  team   agent_id  outcome  perceived",
        *(
            f"g{i:02d}  2026-02-01  2026-02-01  call  phone  north  eva  done  {7 + 2 * (i % 2)}"
            for i in range(8)
        ),
        *(
            f"b{i:02d}  2026-02-02  2026-02-02  call  phone  south  bo  failed  {3 + 2 * (i % 2)}"
            for i in range(8)
        ),
        "zoe  2026-02-03  2026-02-03  visit  branch  south  cy  -  -",
        "zoe  2024-02-03  2024-02-03  call  phone  south  bo  done  0",
        "zoe  2026-03-01  2026-05-01  call  phone  north  eva  failed  0",
    ]
)
AS_OF = at("2026-04-01")


def served(role: str | None = None, names_to: tuple[str, ...] = ("supervisor",)):
    log = histories(LOG)
    company = settings().model_copy(
        update={
            "touchpoints": {"call": TouchpointKind(adequate=5)},
            "channels": {"phone": Channel(encounter="telephone"), "branch": Channel(encounter="personal")},
        }
    )
    config = SimpleNamespace(people=People(names_to=names_to))
    return served_by(log, config, fit_vocabulary(log, company, Activity()), AS_OF, role=role)


def test_only_the_last_year_as_it_was_known_counts():
    by_team = {one.name: one for one in served()["team"]}
    assert by_team["north"].contacts == 8 and by_team["south"].contacts == 9


def test_an_impression_is_against_the_kind_and_drawn_to_the_mean():
    by_team = {one.name: one for one in served()["team"]}
    north, south = by_team["north"], by_team["south"]
    assert 1.8 < north.impression < 2.0 and south.impression == pytest.approx(-north.impression)
    assert north.failed_share == 0 and south.failed_share == 1, "a failed contact and one below 5"


def test_encounters_are_told_and_few_answers_are_no_impression():
    by_encounter = {one.name: one for one in served()["encounter"]}
    assert by_encounter["telephone"].contacts == 16
    assert by_encounter["personal"].answers < FEWEST_ANSWERS
    assert by_encounter["personal"].impression is None


def test_people_are_named_to_the_configured_role_only():
    assert "agent_id" not in served()
    assert {one.name for one in served("supervisor")["agent_id"]} == {"eva", "bo", "cy"}
    with pytest.raises(CorredorError, match="names_to"):
        served("clerk")
    with pytest.raises(CorredorError, match="nobody"):
        served("supervisor", names_to=())
